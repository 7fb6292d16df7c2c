# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the errors of the development stack, whose sentences say how to go on."""

from __future__ import annotations

from elworkers.core.errors import ElworkersError


class DevstackError(ElworkersError):
    """A part cannot be had or does not start; says which, why, and the way out."""
