# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Measurements as ratios: what is compared runs in turns, in one process tree, on the same servers."""
