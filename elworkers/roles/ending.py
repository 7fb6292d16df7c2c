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
        refused: by a store, or by what must be an event to be stored.
        invalid: EventErrors that were made of them, as a processor is to do.
        there_already: in the database.
        left_out: by a blacklist.
    """

    read: int
    refused: int
    invalid: int = 0
    there_already: int = 0
    left_out: int = 0

    @property
    def stored(self) -> int:
        """Those that are stored now, and were not before."""
        return max(0, self.read - self.refused - self.invalid - self.there_already - self.left_out)


def account(metrics: Metrics, *, stores_events: bool) -> Account:
    """Return the counts of a process, from its first record on.

    Args:
        metrics: of that process.
        stores_events: what is no event is refused.
    """
    invalid = metrics.total("events_invalid")
    return Account(
        metrics.total("records_read"),
        metrics.total("records_refused") + (invalid if stores_events else 0),
        0 if stores_events else invalid,
        metrics.total("rows_duplicate"),
        metrics.total("events_left_out"),
    )


def tell(found: Account, dead_letter_sink: str, damage: str, *, makes_errors: bool = False) -> None:
    """Log how many records were read, stored and refused.

    Args:
        found: of an input that has ended.
        refused_to: where EventErrors of refused records are; empty: nowhere.
        damage: of the input; empty: there is none.
        makes_errors: it is to make EventErrors of what it cannot hand on, so that only those that are lost matter.

    Raises:
        DataError: something was refused, or the input is damaged.
    """
    more = {name: count for name in ("there_already", "left_out", "invalid") if (count := getattr(found, name))}
    where = {"refused_to": dead_letter_sink or "nowhere"} if found.refused else {}
    log.info(
        "the input has ended",
        code="input_ended",
        records_read=found.read,
        stored=found.stored,
        refused=found.refused,
        **more,
        **where,
    )
    place = f"they are in {dead_letter_sink}" if dead_letter_sink else "nothing has taken them"
    matters = found.refused > 0 and not (makes_errors and dead_letter_sink)
    why = [f"{found.refused} of {found.read} records are refused; {place}"] if matters else []
    why += [damage] if damage else []
    if why:
        raise DataError("; ".join(why))
