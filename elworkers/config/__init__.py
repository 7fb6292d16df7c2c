# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""From text to checked settings: arguments, URIs, instance files."""
