# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Distinguishes a record that meets a bug of this program from a program that no longer works at all."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import structlog

from elworkers.core.contracts import Record, RejectedRecord
from elworkers.core.errors import ConfigurationError, InvalidEventError, RetryableError

log = structlog.get_logger(__name__)


class LastResort:
    """Decides what becomes of a record that makes a step of ours raise what it should not: an EventError, or a crash.

    Args:
        doing: what the steps do, as `parse and validate`, for the EventError.
        on_good_record: runs the same steps on a built-in record that is known to be good.
    """

    def __init__(self, doing: str, on_good_record: Callable[[], object]) -> None:
        self._doing = doing
        self._on_good_record = on_good_record
        self._logged: set[tuple[type[Exception], str]] = set()

    def blame(self, error: Exception) -> InvalidEventError:
        """Return the error of the record alone; its stack trace is logged once for each kind.

        Raises:
            Exception: the error itself, where it is no bug that one record meets: something is away, the configuration
                cannot work, or the steps fail for the good record as well.
        """
        if isinstance(error, RetryableError | ConfigurationError):
            raise error
        try:
            self._on_good_record()
        except InvalidEventError:
            pass
        except Exception:  # noqa: BLE001 - whatever it is, it is not the record's
            raise error from None
        self._log(error)
        return InvalidEventError(f"cannot {self._doing} this: {type(error).__name__} (a bug of ours; the log has it)")

    def rejected(self, record: Record, error: Exception) -> RejectedRecord:
        """Return a record that made a step of an output raise, as rejected.

        Raises:
            Exception: as `blame` does.
        """
        invalid = error if isinstance(error, InvalidEventError) else self.blame(error)
        return RejectedRecord(record, invalid.message, invalid.code)

    def _log(self, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        error_key = (type(error), f"{frame[0].filename}:{frame[0].lineno}" if frame else "")
        if error_key not in self._logged:
            self._logged.add(error_key)
            log.error(
                "a record meets a bug; others go on", code="record_internal_error", cannot=self._doing, exc_info=error
            )


def good_record() -> Record:
    """Return a record that every step of an output can take."""
    event = {"schema": "EventError", "revision": 14035058, "wiki": "unknown", "event": {"message": "good"}}
    return Record(b'{"schema":"EventError"}', event=event, timestamp_ms=1_469_795_696_000)
