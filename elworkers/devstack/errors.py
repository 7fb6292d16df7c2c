# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What can go wrong with a part comes in; a sentence that says how to go on goes out."""

from __future__ import annotations

from elworkers.core.errors import ElworkersError


class DevstackError(ElworkersError):
    """A part cannot be had or does not start; says which, why, and the way out."""
