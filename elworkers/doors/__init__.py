# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Doors: events that nobody will send again come in; their raw lines go out."""
