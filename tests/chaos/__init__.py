# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Chaos: a steady flow of numbered events in, kills and outages on the way, a count of what was lost or doubled out."""
