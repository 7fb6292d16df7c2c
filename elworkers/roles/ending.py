# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sums up how an input has ended, and raises an error if not all of it is stored."""

from __future__ import annotations

from typing import NamedTuple

import structlog

from elworkers.core.contracts import Metrics
from elworkers.core.errors import DataError

log = structlog.get_logger(__name__)


class Account(NamedTuple):
    """What has become of the records of an input.

    Attributes:
        read: all of them.
        rejected: by a store, or by what must be an event to be stored.
        invalid: EventErrors that were made of them, as a processor is to do.
        duplicates: were in the database already.
        left_out: by a blacklist.
    """

    read: int
    rejected: int
    invalid: int = 0
    duplicates: int = 0
    left_out: int = 0

    @property
    def stored(self) -> int:
        """Those that are stored now, and were not before."""
        return max(0, self.read - self.rejected - self.invalid - self.duplicates - self.left_out)


def account(metrics: Metrics, *, stores_events: bool) -> Account:
    """Return the counts of a process, from its first record on.

    Args:
        metrics: of that process.
        stores_events: what is no event is rejected.
    """
    invalid = metrics.total("events_invalid")
    return Account(
        metrics.total("records_read"),
        metrics.total("records_refused") + (invalid if stores_events else 0),
        0 if stores_events else invalid,
        metrics.total("rows_duplicate"),
        metrics.total("events_left_out"),
    )


def report_end(found: Account, dead_letter_name: str, damage: str, *, makes_errors: bool = False) -> None:
    """Log how many records were read, stored and rejected.

    Args:
        found: of an input that has ended.
        dead_letter_name: where EventErrors of rejected records are; empty: nowhere.
        damage: of the input; empty: there is none.
        makes_errors: it is to make EventErrors of what it cannot hand on, so that only those that are lost matter.

    Raises:
        DataError: something was rejected, or the input is damaged.
    """
    counts = {"there_already": found.duplicates, "left_out": found.left_out, "invalid": found.invalid}
    more = {name: count for name, count in counts.items() if count}
    where = {"refused_to": dead_letter_name or "nowhere"} if found.rejected else {}
    log.info(
        "the input has ended",
        code="input_ended",
        records_read=found.read,
        stored=found.stored,
        refused=found.rejected,
        **more,
        **where,
    )
    location = f"they are in {dead_letter_name}" if dead_letter_name else "nothing has taken them"
    matters = found.rejected > 0 and not (makes_errors and dead_letter_name)
    why = [f"{found.rejected} of {found.read} records are refused; {location}"] if matters else []
    why += [damage] if damage else []
    if why:
        raise DataError("; ".join(why))
