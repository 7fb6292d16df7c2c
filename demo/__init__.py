# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The demo: runs the whole topology on real servers with recorded lines, and prints a table that adds up."""
