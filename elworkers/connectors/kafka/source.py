# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a topic's partitions as a member of a consumer group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import structlog

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import Consumer, Driver, RawMessage
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.exactly_once import WorkerTransaction
from elworkers.connectors.kafka.transactional import GroupMetadata, TransactionalConsumer
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Assignment, Metrics, Positions, Record, TopicPartition

log = structlog.get_logger(__name__)


class KafkaSource:
    """A member of a consumer group; a `contracts.Source` and `FlushCaller`, and a `driver.AssignmentListener`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a `kafka:` URI as an input, typed.
        group_name: the consumer group.
        metrics: counts `kafka_gap_messages`, `kafka_transactional_messages` and `topics_recreated`.
        offset_store: its positions count, not the group's.
        plan: how the topic has to be made; None: as the options say.
        kafka: makes the consumer; None: the driver that is chosen for the brokers and options.
        static_id: name of a static member, of no other member of the group.
        transaction: commits this source's positions; the driver is a `transactional.TransactionalDriver` then.

    Raises:
        ConfigurationError: an option cannot be had, or the broker is too new.
        RetryableError: Kafka or ZooKeeper does not answer.
    """

    exhausted = False
    replayable = True
    durable = True

    def __init__(  # noqa: PLR0913 - a member, and who knows more of it
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group_name: str,
        metrics: Metrics,
        offset_store: OffsetStore | None = None,
        plan: TopicPlan | None = None,
        *,
        kafka: Driver | None = None,
        transaction: WorkerTransaction | None = None,
        static_id: str | None = None,
    ) -> None:
        self._offset_store = offset_store
        self._transaction = transaction
        self._metrics = metrics
        self._cluster_name = ",".join(sorted(hosts))
        self._topic_name: str = options["topic"]
        self._group_name = group_name
        self._flush: Callable[[], None] | None = None
        self._assignments: dict[TopicPartition, Assignment] = {}
        self._assignment_epoch = 0
        self._consumer: Consumer = (kafka or driver(hosts, "", options)).consumer(
            hosts, options, group_name, self, metrics, plan, static_id
        )
        if transaction is not None:
            transaction.add_source(self)

    @property
    def idle(self) -> bool:
        """True while the group assigns no partition to this member."""
        return not self._consumer.assigned()

    @property
    def partitions(self) -> list[int]:
        """The partitions that are assigned to this member now."""
        return [partition.partition for partition in self._consumer.assigned()]

    def flush_by(self, flush: Callable[[], None]) -> None:
        """See `capabilities.FlushCaller.flush_by`; it is called before partitions leave."""
        self._flush = flush

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`; also empty where partitions have moved."""
        records: list[Record] = []
        for partition, found in self._consumer.poll(limit, timeout_s):
            assignment = self._assignments[partition]
            records += [_record(message, assignment) for message in found]
        return records

    def commit(self, positions: Positions) -> None:
        """See `contracts.Source.commit`; where a transaction has committed them, the consumer only hears of it."""
        held = self.held(positions)
        if self._transaction is None:
            self._consumer.commit(held)
        else:
            cast(TransactionalConsumer, self._consumer).note_committed(held)

    def held(self, positions: Positions) -> dict[TopicPartition, int]:
        """Return those of the positions that are of present assignments."""
        return {
            partition: offset
            for assignment, offset in positions.items()
            if assignment == self._assignments.get(partition := TopicPartition(assignment.topic, assignment.partition))
        }

    def group_metadata(self) -> GroupMetadata:
        """See `exactly_once.OffsetSource.group_metadata`."""
        return cast(TransactionalConsumer, self._consumer).group_metadata()

    def assigned(self, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """See `driver.AssignmentListener.assigned`; the offset store decides where to begin, if there is one."""
        new: dict[TopicPartition, Assignment] = {}
        for partition in sorted(positions):
            self._assignment_epoch += 1
            new[partition] = Assignment(*partition, self._cluster_name, self._assignment_epoch, self._consumer.topic_id)
        moved = self._stored_positions({assignment: positions[partition] for partition, assignment in new.items()})
        self._assignments.update(new)
        return moved

    def _stored_positions(self, positions: dict[Assignment, int]) -> dict[TopicPartition, int]:
        """Return the positions of the offset store that differ from those of the group."""
        if self._offset_store is None:
            return {}
        found = {
            assignment: at
            for assignment, at in self._offset_store.resume_at(positions).items()
            if at != positions[assignment]
        }
        if found:
            log.warning(
                "the group's offsets in Kafka are not its positions in the database, which count",
                code="kafka_offsets_overridden",
                group=self._group_name,
                topic=self._topic_name,
                partitions={
                    one.partition: {"kafka": positions[one], "database": at} for one, at in sorted(found.items())
                },
            )
        return {TopicPartition(assignment.topic, assignment.partition): at for assignment, at in found.items()}

    def revoked(self, partitions: Collection[TopicPartition], *, lost: bool) -> None:
        """See `driver.AssignmentListener.revoked`; lost partitions are read again by their new owner."""
        if lost and self._transaction is not None:
            for partition in partitions:
                self._assignments.pop(partition, None)
            self._transaction.lose()
        if not lost and self._flush is not None:
            self._flush()

    def offset_reset(self, partition: TopicPartition, wanted: int, earliest: int) -> None:
        """See `driver.AssignmentListener.offset_reset`."""
        self._metrics.count("kafka_gap_messages", max(0, earliest - wanted), topic=self._topic_name)
        log.error(
            "offset out of range, going on at the earliest",
            code="kafka_offset_out_of_range",
            topic=self._topic_name,
            partition=partition.partition,
            wanted=wanted,
            earliest=earliest,
        )

    def close(self) -> None:
        """Leave the group; never raises."""
        self._consumer.close()


def _record(message: RawMessage, assignment: Assignment) -> Record:
    offset, timestamp_ms, key, value = message
    return Record(value or b"", origin=assignment, offset=offset, timestamp_ms=max(0, timestamp_ms), key=key)
