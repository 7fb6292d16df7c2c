# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Applies the functions that `map://` and `filter://` name: the original's, and operators' own."""
