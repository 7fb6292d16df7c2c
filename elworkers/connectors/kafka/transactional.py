# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a Kafka client with transactions has beyond `driver`.

Records and offsets of a transaction become visible together, and only to readers of committed records: consumers and
readers of such a driver are those, unless they are told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener, Consumer, Driver
from elworkers.connectors.kafka.producer_protocol import Producer, ProducerContext, ProducerSettings
from elworkers.core.contracts import Metrics, TopicPartition

GroupMetadata = object
"""A member's place in its group, as its own client has it; nobody else looks into it."""


class TransactionalConsumer(Consumer, Protocol):
    """A consumer whose offsets a producer can commit in a transaction."""

    def group_metadata(self) -> GroupMetadata:
        """Return this member's place in its group, for `TransactionalProducer.send_offsets`; new after each poll."""

    def note_committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Take note that a transaction has committed these, and that everything polled so far is done with.

        What is not committed by that, as positions behind markers that follow, the consumer may commit now or later.

        Raises:
            RetryableError: as `Consumer.commit`.
        """


class TransactionalProducer(Producer, Protocol):
    """Produces in transactions, one at a time.

    Of producers with the same transactional id only the newest counts: making one aborts what an earlier one has left
    open. Each call may raise `RetryableError`, also because a newer producer has been made; then this one is of no
    further use.
    """

    @property
    def in_doubt(self) -> bool:
        """Whether a commit was not answered, so that it may have been done: `commit` can be called again.

        Where nobody does, making another producer with the same transactional id ends the transaction; the group's
        committed offsets then say which way.
        """

    def begin(self) -> None:
        """Begin a transaction; nothing can be produced without one.

        Raises:
            RetryableError: see above.
        """

    def send_offsets(self, positions: Mapping[TopicPartition, int], group: GroupMetadata) -> None:
        """Add the offsets to read next to the transaction; they are committed with it.

        Args:
            group: of the consumer that has polled what is before them.

        Raises:
            RetryableError: as above, or the group has moved on without that consumer; the transaction can only be
                aborted.
        """

    def commit(self) -> None:
        """Send what is pending, and make the transaction's records and offsets final.

        Raises:
            RetryableError: see above, and `in_doubt`.
        """

    def abort(self) -> None:
        """End the transaction without any of its records and offsets; does nothing where none is open.

        Raises:
            RetryableError: see above, or it is in doubt.
        """


class TransactionalDriver(Driver, Protocol):
    """A driver whose `has_transactions` is True."""

    def consumer(  # noqa: PLR0913, PLR0917 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
        static_id: str | None = None,
    ) -> TransactionalConsumer:
        """See `Driver.consumer`."""

    def transactional_producer(
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        transactional_id: str,
        context: ProducerContext | None = None,
    ) -> TransactionalProducer:
        """Return a producer, after what an earlier one of this id has left open was ended.

        Args:
            transactional_id: names the producer over restarts.
            hosts, settings, context: see `Driver.producer`.
        """


def has_transactions(driver: Driver) -> TypeGuard[TransactionalDriver]:
    """Return whether a driver has transactions."""
    return driver.has_transactions
