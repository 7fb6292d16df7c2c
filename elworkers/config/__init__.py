# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads configuration: arguments, URIs and instance files become checked settings."""
