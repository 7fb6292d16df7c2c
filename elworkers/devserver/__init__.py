# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""For people who instrument a page: events come in, and each is shown with what is wrong with it."""
