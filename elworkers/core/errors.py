# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the errors of this program; an error's class decides what happens next.

=====================  ==============================================================
class                  what the program does
=====================  ==============================================================
`UsageError`           exits with `EX_USAGE` (2), or with 78 where it stands in a file
`ConfigurationError`   exits with `EX_CONFIG` (78); it is not tried again before a change
`RetryableError`       throws its clients away, waits, starts from the committed offset
`UnfinishedError`      exits with `EX_TEMPFAIL` (75): a run that was to end has not done everything
`DataError`            exits with `EX_DATAERR` (65): the input has ended, and something of it was rejected
`InvalidEventError`    sends the record to EventError and goes on with the next
anything else          crashes uncommitted; the pool parent starts another worker
=====================  ==============================================================
"""

from __future__ import annotations

from elworkers.core.passwords import without_passwords

EX_USAGE = 2
"""Exit code of a wrong command line, as argparse has it."""

EX_DATAERR = 65
"""Exit code of work that is done, but for what was rejected of its input (sysexits.h)."""

EX_TEMPFAIL = 75
"""Exit code of work that is done in part, and goes on when it is started again (sysexits.h)."""

EX_CONFIG = 78
"""Exit code of a configuration that cannot work (sysexits.h)."""


class ElworkersError(Exception):
    """Root of every error that this program raises on purpose; its text has no passwords."""

    def __str__(self) -> str:
        return without_passwords(super().__str__())


class ConfigurationError(ElworkersError):
    """Something the operator wrote cannot work; its text has what and where, and what was expected.

    Args:
        message: what is wrong and what was expected; passwords in it are hidden.
        file: the instance file, where there is one.
        line: its line, counted from 1.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.message = without_passwords(message)
        super().__init__(self.message)
        self.file = file
        self.line = line

    def __str__(self) -> str:
        location = ":".join(str(item) for item in (self.file, self.line) if item is not None)
        return f"{location}: {self.message}" if location else self.message

    def at(self, file: str | None, line: int | None = None) -> ConfigurationError:
        """Return the same error with the place it was found at, where none is known yet."""
        return type(self)(self.message, self.file or file, self.line or line)

    @property
    def exit_code(self) -> int:
        """The exit code of a program that this ends."""
        return EX_CONFIG


class UsageError(ConfigurationError):
    """A command line has an argument that is unknown, missing, given twice, one too many or no value of its option."""

    @property
    def exit_code(self) -> int:
        """`EX_USAGE`, or `EX_CONFIG` where the arguments stand in a file."""
        return EX_USAGE if self.file is None else EX_CONFIG


class RetryableError(ElworkersError):
    """Something outside is away for now (a broker, a database, a disk); nothing is lost by waiting."""


class UnfinishedError(ElworkersError):
    """A run with an end has reached it before its work was done; its text has what is left."""


class DataError(ElworkersError):
    """An input has come to its end, and not all of it is stored; its text has what is not, and where that is."""


class InvalidEventError(ElworkersError):
    """One raw line or event is not valid.

    Args:
        message: what is wrong, for the people who instrument a page.
        code: `processor` (the line cannot be parsed), `validation` (the schema does not allow it),
            `timeout` (it took too long) or `storage` (the store rejected it).
    """

    def __init__(self, message: str, code: str = "processor") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class InvalidSchemaError(InvalidEventError):
    """A schema is itself invalid, so that none of its events can be valid."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "validation")


class EventTimeout(BaseException):
    """The event at hand has used up its time (`contracts.Budget`).

    No Exception, so that no library on the way takes it for one of its own.
    """
