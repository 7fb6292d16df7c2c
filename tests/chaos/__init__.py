# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Chaos: kills and outages during a steady flow of numbered events, and a count of what was lost or doubled."""
