# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the errors of control commands, each with an exit code of its own."""

from __future__ import annotations

from typing import ClassVar

from elworkers.core.errors import EX_TEMPFAIL, ElworkersError

EX_UNAVAILABLE = 69
"""Exit code of a supervisord that runs but cannot be asked (sysexits.h)."""


class SupervisorError(ElworkersError):
    """supervisord does not do what it was asked; says why."""

    code: ClassVar[int] = 1


class FaultError(SupervisorError):
    """supervisord has answered that it will not.

    Args:
        message: what it will not, and why.
        fault_text: its own words.
    """

    def __init__(self, message: str, fault_text: str) -> None:
        super().__init__(message)
        self.fault_text = fault_text


class UnreachableError(SupervisorError):
    """supervisord runs, but cannot be asked, or does not answer in time; says what to do."""

    code = EX_UNAVAILABLE


class NoSocketError(UnreachableError):
    """supervisord runs, but has no socket to ask it by."""


class AccessDeniedError(UnreachableError):
    """supervisord runs, or may run, but this user may not ask it."""


class StopTimeoutError(SupervisorError):
    """Some programs have not ended in time."""


class LockedError(SupervisorError):
    """Another command is at work in the run folder."""

    code = EX_TEMPFAIL
