# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores events in tables of MySQL, MariaDB and SQLite."""
