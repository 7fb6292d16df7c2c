# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Partitions of one topic, shared out by a consumer group, come in through pykafka; records go out."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.pykafka import client, starting_positions, topics, transactions
from elworkers.connectors.kafka.pykafka import consumer as member
from elworkers.connectors.kafka.pykafka.messages import RawMessage
from elworkers.connectors.kafka.pykafka.stalled_partitions import StalledPartitions
from elworkers.connectors.kafka.pykafka.topic_identity import TopicIdentity
from elworkers.core.contracts import Assignment, Metrics, OffsetStore, Positions, Record
from elworkers.core.errors import RetryableError

_SETTLE_SHARE = 0.4
_PAUSE_S = 0.1

log = structlog.get_logger(__name__)


class KafkaSource:
    """A member of a consumer group; implements `contracts.Source`.

    Args:
        hosts: the brokers, each `host:port`.
        options: of `schemes.KAFKA_SOURCE`, typed.
        group_name: the consumer group.
        metrics: counts `kafka_gap_messages`, `kafka_transactional_messages` and `topics_recreated`.
        ledger: knows better than Kafka where to begin partitions.
        plan: how the topic has to be made; None: as the options say.

    Raises:
        ConfigurationError: `use_rdkafka` cannot be had, or the broker is too new.
        RetryableError: Kafka or ZooKeeper does not answer.
    """

    exhausted = False
    replayable = True
    durable = True

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group_name: str,
        metrics: Metrics,
        ledger: OffsetStore | None = None,
        plan: TopicPlan | None = None,
    ) -> None:
        member.check_rdkafka(options)
        self._ledger = ledger
        self._metrics = metrics
        self._cluster_name = ",".join(sorted(hosts))
        self._clean: dict[int, int] = {}
        self._topic_name: str = options["topic"]
        self._group_name = group_name
        self._begins_by_default = options["auto_offset_reset"] is None
        self._taken: dict[int, int] = {}
        self._claims: dict[int, int] = {}
        self._claim_count = 0
        self._fetcher: Any = None
        self._origins: dict[int, Assignment] = {}
        self._uncommitted = False
        self._on_the_move = threading.Event()
        self._settled = threading.Event()
        self._closed = threading.Event()
        self._standing = StalledPartitions(self._topic_name, metrics)
        self._rdkafka: bool = options["use_rdkafka"]
        self._consumer: Any = None
        session_ms = options["session_timeout_ms"]
        self._settle_s = min(session_ms, 30_000) / 1000 * _SETTLE_SHARE
        cluster = client.connect(hosts, socket_timeout_ms=max(30_000, session_ms + 10_000))
        self._cluster = cluster
        self._identity = TopicIdentity(cluster, self._cluster_name, self._topic_name, metrics)
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        self._how = plan.of([self._topic_name])[self._topic_name]
        create = not self._identity.was_read
        topic = topics.ensure(cluster, self._topic_name, *self._how[:2], create=create, own=plan.own)
        self._topic = topic
        metrics.remark(f"topic {self._topic_name}", self._how.differs(*topics.shape(topic)))
        self._identity.found()
        self._partition_count = len(topic.partitions)
        self._freshness = topics.MetadataRefresher(cluster, options["metadata_max_age_ms"])
        self._consumer = self._join(cluster, topic, options)

    def _join(self, cluster: Any, topic: Any, options: Mapping[str, Any]) -> Any:
        with client.translated(f"join group {self._group_name} for topic {self._topic_name}"):
            consumer = member.made(cluster, topic, options, self._group_name)
            consumer.moving, consumer.resume_from, consumer.on_gap = self._moving, self._resume_from, self._on_gap
            consumer.on_standing = self._on_standing
            consumer.identity = self._identity
            try:
                consumer.start()
            except Exception:
                _stop(consumer)
                raise
        return consumer

    @property
    def flush_wanted(self) -> bool:
        """True while a rebalance waits for the loop to flush and commit what it has taken."""
        return self._on_the_move.is_set() and self._uncommitted

    @property
    def idle(self) -> bool:
        """True while the group gives no partition to this member."""
        return not self.partitions

    @property
    def partitions(self) -> list[int]:
        """The partitions that the group gives to this member now."""
        return sorted(self._consumer.partitions)

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """See `contracts.Source.poll`; also empty while a rebalance waits (`flush_wanted`)."""
        if self._freshness.renewed():
            self._look_again()
        deadline = time.monotonic() + timeout_s
        with client.translated(f"read topic {self._topic_name}"):
            while True:
                self._consumer._raise_worker_exceptions()
                records = self._take(limit)
                left = deadline - time.monotonic()
                if records or left <= 0 or self.flush_wanted:
                    return records
                self._wait(min(left, _PAUSE_S))

    def _look_again(self) -> None:
        self._identity.check()
        if len(self._topic.partitions) > self._partition_count:
            # pykafka's consumers never look beyond the partitions that they began with.
            raise RetryableError(
                f"topic {self._topic_name} has {len(self._topic.partitions)} partitions now, not"
                f" {self._partition_count}; joining the group anew"
            )
        with self._consumer._rebalancing_lock:
            if self._fetcher is not None and self._fetcher is self._consumer._consumer:
                self._look_for_transactions(self._fetcher)

    def _look_for_transactions(self, fetcher: Any) -> None:
        if fetcher.reads_uncommitted or self._rdkafka:
            return
        leaders = {(self._topic_name, number): one.leader for number, one in fetcher.partitions.items() if one.leader}
        with client.translated(f"ask for the transactions of topic {self._topic_name}"):
            found = transactions.written(self._cluster, leaders)
        for partition, start in fetcher.starts().items():
            position = self._taken.get(partition, start)
            if (self._topic_name, partition) in found:
                fetcher.refuse(partition, position, transactions.SENTENCE)
            else:
                self._clean[partition] = position
                fetcher.allow(partition)

    def _wait(self, pause_s: float) -> None:
        fetcher = self._fetcher
        if fetcher is None or not fetcher.partitions or self._on_the_move.is_set():
            self._closed.wait(pause_s)
        elif self._rdkafka:
            if fetcher._messages_arrived.acquire(blocking=True, timeout=pause_s):
                fetcher._messages_arrived.release()
        else:
            fetcher.inbox.wait_for_messages(pause_s)

    def _take(self, limit: int) -> list[Record]:
        records: list[Record] = []
        # Held while messages are taken, so that pykafka cannot put another fetcher in place in the middle.
        with self._consumer._rebalancing_lock:
            fetcher = self._consumer._consumer
            if fetcher is None or self._on_the_move.is_set():
                return records
            fetcher._raise_worker_exceptions()
            if fetcher is not self._fetcher:
                self._take_over(fetcher)
            if fetcher.unplaced:
                self._place_rest(fetcher)
            taken = self._consumed(fetcher, limit) if self._rdkafka else fetcher.inbox.take(limit)
            for partition, found in taken:
                origin = self._origins[partition]
                records += [_record(message, origin) for message in found]
                self._taken[partition] = found[-1][0] + 1
            if fetcher.passed and not records and not self._uncommitted:
                self._commit_passed(fetcher)
            self._uncommitted = self._uncommitted or bool(records)
        return records

    def _commit_passed(self, fetcher: Any) -> None:
        """A group is at a log's end also where that is no message, but the marker of a transaction."""
        for partition, (begin, end) in list(fetcher.passed.items()):
            if self._taken.get(partition, begin) == begin:
                fetcher.commit({partition: begin})
                self._taken[partition] = end
                del fetcher.passed[partition]

    @staticmethod
    def _consumed(fetcher: Any, limit: int) -> Iterator[tuple[int, list[RawMessage]]]:
        for taken in range(limit):
            message = fetcher.consume(block=not taken)
            if message is None:
                return
            found = (message.offset, message.timestamp or 0, message.partition_key, message.value)
            yield message.partition_id, [found]

    def _take_over(self, fetcher: Any) -> None:
        held = set(fetcher.partitions)
        # One that has left and come back since the last look is not held without interruption either.
        for partition in set(self._claims) - (held - self._consumer.fresh):
            del self._claims[partition]
            self._taken.pop(partition, None)
        new = {
            partition: Assignment(
                self._topic_name, partition, self._cluster_name, self._claim_count + count, self._identity.topic_id
            )
            for count, partition in enumerate(sorted(held - set(self._claims)), 1)
        }
        if new and self._ledger is not None:
            starting_positions.as_kept(fetcher, new, self._ledger, self._group_name)
        starting_positions.say(fetcher, self._group_name, self._topic_name, self._begins_by_default)
        self._claim_count += len(new)
        for partition, origin in new.items():
            self._claims[partition] = origin.assignment_epoch
            self._origins[partition] = origin
        self._consumer.fresh.clear()
        self._fetcher = fetcher
        self._look_for_transactions(fetcher)
        self._standing.keep(held)
        log.info("partitions assigned", topic=self._topic_name, partitions=sorted(held))

    def _place_rest(self, fetcher: Any) -> None:
        """Begin partitions that have got a leader only now."""
        placed = fetcher.place_rest()
        if placed:
            if self._ledger is not None:
                new = {partition: self._origins[partition] for partition in placed}
                starting_positions.as_kept(fetcher, new, self._ledger, self._group_name)
            self._look_for_transactions(fetcher)

    def _resume_from(self) -> Mapping[int, int]:
        return dict(self._taken)

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        if self._consumer is None:
            yield
            return
        with self._consumer._rebalancing_lock:
            self._settled.clear()
            self._on_the_move.set()
        try:
            if self._uncommitted and not self._settled.wait(self._settle_s):
                log.warning("rebalance goes on before everything taken was committed", topic=self._topic_name)
            yield
        finally:
            self._on_the_move.clear()

    def commit(self, positions: Positions) -> None:
        """See `contracts.Source.commit`."""
        with client.translated(f"commit offsets of topic {self._topic_name}"):
            with self._consumer._rebalancing_lock:
                fetcher = self._consumer._consumer
                if fetcher is not self._fetcher:
                    self._take_over(fetcher)
                fetcher.commit(
                    {
                        origin.partition: offset
                        for origin, offset in positions.items()
                        if origin == self._origins.get(origin.partition)
                        and self._claims.get(origin.partition) == origin.assignment_epoch
                    }
                )
            self._uncommitted = False
            self._settled.set()

    def _on_gap(self, partition: int, wanted: int, earliest: int) -> None:
        self._metrics.count("kafka_gap_messages", max(0, earliest - wanted), topic=self._topic_name)
        log.error(
            "offset out of range, going on at the earliest",
            topic=self._topic_name,
            partition=partition,
            wanted=wanted,
            earliest=earliest,
        )

    def _on_standing(self, partition: int, why: str | None) -> None:
        if why == transactions.SENTENCE and not self._standing.says(partition, why):
            taken = self._taken.get(partition, 0)
            self._standing.count_transactional(partition, taken - self._clean.get(partition, taken))
        self._standing.tell(partition, why)

    def close(self) -> None:
        """Leave the group; never raises."""
        self._settled.set()
        self._closed.set()
        _stop(self._consumer)
        self._standing.keep(())


def _record(message: RawMessage, origin: Assignment) -> Record:
    offset, timestamp_ms, key, value = message
    return Record(value or b"", origin=origin, offset=offset, timestamp_ms=max(0, timestamp_ms), key=key)


def _stop(consumer: Any) -> None:
    try:
        consumer.stop()
    except Exception as error:  # noqa: BLE001 - the client is thrown away whatever it says
        log.debug("Kafka consumer did not stop cleanly", reason=f"{type(error).__name__}: {error}")
