# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds what every other package uses: contracts, errors, the loop, metrics."""
