# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what some sources, sinks and pipelines can do beyond `core.contracts`.

The loop asks sources and sinks for it with `isinstance`, and a pipeline has its transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from elworkers.core.contracts import Destination, Positions, Record


@runtime_checkable
class OffsetStore(Protocol):
    """A sink that keeps positions beside what it stores, so that neither is ever there without the other."""

    def resume_at(self, positions: Positions) -> Positions:
        """Return the positions at which to begin partitions that were just assigned; earlier ones of them are void.

        Args:
            positions: where Kafka would have it begin; of a partition that the offset store does not know, it does.

        Raises:
            RetryableError: the far side is away.
        """


@runtime_checkable
class Addressed(Protocol):
    """A sink whose records are counted where they go to."""

    def destination(self, record: Record) -> Destination | None:
        """Return where the record goes to; None: nowhere. Never raises."""


@runtime_checkable
class Breakable(Protocol):
    """A source that may find on its way that the rest of its input cannot be read.

    Attributes:
        damage: what and where, once it is exhausted; empty where it has given everything.
    """

    damage: str


@runtime_checkable
class FlushCaller(Protocol):
    """A source that may need everything it has given to be flushed and committed before it goes on.

    Kafka's needs it before partitions leave, a spool where a client waits for its answer.
    """

    def flush_by(self, flush: Callable[[], None]) -> None:
        """Take the call that does so, and that ends with `contracts.Source.commit`.

        It is to be made in `contracts.Source.poll` only, before that takes anything. What it raises is for the
        caller of `poll`.
        """


class Transaction(Protocol):
    """Makes what a pipeline's sinks have written final together with its source's positions, or neither.

    It begins with the first record of a batch that a sink is given. Until it is committed, no sink has anything of the
    batch: after a failure all of it has to be read and written again.
    """

    def commit(self, positions: Positions) -> None:
        """Make everything that was flushed final, and commit these positions of the source with it.

        Positions of partitions that the source does not hold (any more) are passed over.

        Raises:
            RetryableError: it was not committed, or that is in doubt; only `close` can follow.
        """

    def close(self) -> None:
        """Abort what is open; never raises."""
