"""How an input has ended comes in; a summary for the log goes out, and an error where not all of it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from elworkers.contracts import Metrics
from elworkers.errors import DataError
from elworkers.runtime.loop import Ending

log = structlog.get_logger(__name__)


def tell(ending: Ending, metrics: Metrics, refused_too: Sequence[str] = ()) -> None:
    """Log how many records were read, stored and refused, and where the refused ones are.

    Args:
        ending: of an input that has one.
        metrics: of the process that read it.
        refused_too: counters of what is refused before any store is asked.

    Raises:
        DataError: something was refused, or the input is damaged.
    """
    read, there, left_out = map(metrics.total, ("records_read", "rows_duplicate", "events_left_out"))
    invalid = metrics.total("events_invalid")
    refused = metrics.total("records_refused") + sum(map(metrics.total, refused_too))
    not_stored = metrics.total("records_refused") + invalid + there + left_out
    counts = {"there_already": there, "left_out": left_out, "invalid": 0 if refused_too else invalid}
    where = ending.refused_to if refused else ""
    log.info(
        "the input has ended",
        records_read=read,
        stored=max(0, read - not_stored),
        refused=refused,
        **{name: count for name, count in counts.items() if count},
        **({"refused_to": where or "nowhere"} if refused else {}),
    )
    why = [f"{refused} of {read} records are refused; they are in {where or 'no place'}"] if refused else []
    if ending.damage:
        why.append(ending.damage)
    if why:
        raise DataError("; ".join(why))
