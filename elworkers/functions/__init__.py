# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Functions that `map://` and `filter://` name: those that were in use, and operators' own."""
