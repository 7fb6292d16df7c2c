# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Shows events as they come, with what is wrong with each, to people who instrument a page."""
