# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Prints events with their validation errors as they arrive, for developers who instrument a page."""
