# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo: raw lines in, the whole topology on real servers, and a table that adds up out."""
