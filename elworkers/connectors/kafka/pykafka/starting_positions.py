# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Partitions that were just assigned come in; they begin where the group is, and what is unexpected of that is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from elworkers.core.contracts import Assignment, OffsetStore

log = structlog.get_logger(__name__)


def as_kept(fetcher: Any, new: Mapping[int, Assignment], ledger: OffsetStore, group: str) -> None:
    """Begin partitions at the positions that a ledger keeps, and tell Kafka where its offsets are others.

    Args:
        fetcher: holds the partitions, placed as Kafka's offsets say.
        new: partition → its origin; those that are not placed yet are passed over.
        ledger: knows better.
        group: the consumer group's name.

    Raises:
        KafkaException: the positions may not have been committed.
        RetryableError: the ledger does not answer.
    """
    placed = fetcher.starts()
    starts = {origin: placed[partition] for partition, origin in new.items() if partition in placed}
    found = {origin: at for origin, at in ledger.resume_at(starts).items() if at != starts[origin]}
    if not found:
        return
    for origin, offset in found.items():
        fetcher.go_to(origin.partition, offset)
        fetcher.begun.discard(origin.partition)
    log.warning(
        "the group's offsets in Kafka are not its positions in the database, which count",
        group=group,
        topic=next(iter(found)).topic,
        partitions={one.partition: {"kafka": starts[one], "database": at} for one, at in sorted(found.items())},
    )
    # Lag is measured by what Kafka has, and the next event may be long in coming.
    fetcher.commit({origin.partition: offset for origin, offset in found.items()})


def say(fetcher: Any, group: str, topic: str, by_default: bool) -> None:
    """Say once where a new group has begun, if nobody has said where it should."""
    if fetcher.begun and by_default:
        log.info(
            "a new group begins at the earliest, because auto_offset_reset is not given",
            group=group,
            topic=topic,
            partitions=sorted(fetcher.begun),
        )
    fetcher.begun.clear()
