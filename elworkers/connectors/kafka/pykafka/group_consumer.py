# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a topic's partitions as a member of a consumer group, by pykafka.

pykafka moves partitions in a thread of its own. That thread waits here until the loop, in its own thread, has flushed
and committed what it has taken (`AssignmentListener.revoked`), or for so long that the group would give this member up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import structlog

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener, RawMessage
from elworkers.connectors.kafka.pykafka import client, topics, transactions
from elworkers.connectors.kafka.pykafka import consumer as member
from elworkers.connectors.kafka.pykafka.stalled_partitions import StalledPartitions
from elworkers.connectors.kafka.pykafka.topic_identity import TopicIdentity
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError

_SETTLE_SHARE = 0.4
_PAUSE_S = 0.1

log = structlog.get_logger(__name__)


class _Places(dict[int, TopicPartition]):
    """The partitions of a topic by number, also those that are added while it is read."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def __missing__(self, number: int) -> TopicPartition:
        self[number] = TopicPartition(self._topic, number)
        return self[number]


class GroupConsumer:
    """A member of a consumer group; implements `driver.Consumer`.

    Args:
        hosts, options, group, listener, metrics, plan: see `driver.Driver.consumer`.

    Raises:
        ConfigurationError: `use_rdkafka` cannot be had, or the broker is too new.
        RetryableError: Kafka or ZooKeeper does not answer.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None = None,
    ) -> None:
        member.check_rdkafka(options)
        self._listener = listener
        self._topic_name: str = options["topic"]
        self._group_name = group
        self._begins_by_default = options["auto_offset_reset"] is None
        self._clean: dict[int, int] = {}
        self._taken: dict[int, int] = {}
        self._told: set[int] = set()
        self._gaps: deque[tuple[int, int, int]] = deque()
        self._fetcher: Any = None
        self._uncommitted = self._moved_uncommitted = False
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
        self._identity = TopicIdentity(cluster, ",".join(sorted(hosts)), self._topic_name, metrics)
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        how = plan.of([self._topic_name])[self._topic_name]
        create = not self._identity.was_read
        topic = topics.ensure(cluster, self._topic_name, *how[:2], create=create, own=plan.own)
        self._topic = topic
        metrics.remark(f"topic {self._topic_name}", how.differs(*topics.shape(topic)))
        self._identity.found()
        self.topic_id = self._identity.topic_id
        self._partition_count = len(topic.partitions)
        self._places = _Places(self._topic_name)
        self._freshness = topics.MetadataRefresher(cluster, options["metadata_max_age_ms"])
        self._consumer = self._join(cluster, topic, options)

    def _join(self, cluster: Any, topic: Any, options: Mapping[str, Any]) -> Any:
        with client.translated(f"join group {self._group_name} for topic {self._topic_name}"):
            consumer = member.made(cluster, topic, options, self._group_name)
            consumer.moving, consumer.resume_from = self._moving, self._resume_from
            consumer.on_gap = lambda *gap: self._gaps.append(gap)
            consumer.on_standing = self._on_standing
            consumer.identity = self._identity
            try:
                consumer.start()
            except Exception:
                _stop(consumer)
                raise
        return consumer

    def assigned(self) -> list[TopicPartition]:
        """See `driver.Consumer.assigned`."""
        return self._named(self._consumer.partitions)

    def _named(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [self._places[number] for number in sorted(partitions)]

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """See `driver.Consumer.poll`."""
        if self._freshness.renewed():
            self._look_again()
        deadline = time.monotonic() + timeout_s
        while True:
            with client.translated(f"read topic {self._topic_name}"):
                self._consumer._raise_worker_exceptions()
                taken = self._take(limit)
            self._tell_gaps()
            left = deadline - time.monotonic()
            if taken:
                return taken
            if self._on_the_move.is_set() and self._uncommitted:
                # pykafka's thread waits for the commit that this leads to.
                self._listener.revoked(self.assigned(), lost=False)
                return taken
            if left <= 0:
                return taken
            with client.translated(f"read topic {self._topic_name}"):
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

    def _take(self, limit: int) -> list[tuple[TopicPartition, list[RawMessage]]]:
        # Held while messages are taken, so that pykafka cannot put another fetcher in place in the middle.
        with self._consumer._rebalancing_lock:
            fetcher = self._consumer._consumer
            if fetcher is None or self._on_the_move.is_set():
                return []
            fetcher._raise_worker_exceptions()
            if fetcher is not self._fetcher:
                self._take_over(fetcher)
            if fetcher.unplaced:
                self._place_rest(fetcher)
            found = self._consumed(fetcher, limit) if self._rdkafka else fetcher.inbox.take(limit)
            taken = []
            for partition, messages in found:
                taken.append((self._places[partition], messages))
                self._taken[partition] = messages[-1][0] + 1
            if fetcher.passed and not taken and not self._uncommitted:
                self._commit_passed(fetcher)
            self._uncommitted = self._uncommitted or bool(taken)
        return taken

    def _commit_passed(self, fetcher: Any) -> None:
        """Commit positions behind the marker of a transaction, with which a log may end as well as with a message."""
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
        kept = self._uninterrupted(fetcher)
        gone = self._told - kept
        if gone and self._moved_uncommitted:
            self._listener.revoked(self._named(gone), lost=True)
        self._moved_uncommitted = False
        for partition in gone:
            self._taken.pop(partition, None)
        self._told = kept
        self._begin(fetcher, held - kept)
        if fetcher.begun and self._begins_by_default:
            log.info(
                "a new group begins at the earliest, because auto_offset_reset is not given",
                code="kafka_group_starts_at_earliest",
                group=self._group_name,
                topic=self._topic_name,
                partitions=sorted(fetcher.begun),
            )
        fetcher.begun.clear()
        self._told = held
        self._consumer.fresh.clear()
        self._fetcher = fetcher
        self._look_for_transactions(fetcher)
        self._standing.keep(held)
        log.info(
            "partitions assigned", code="kafka_partitions_assigned", topic=self._topic_name, partitions=sorted(held)
        )

    def _uninterrupted(self, fetcher: Any) -> set[int]:
        """Return the partitions that the listener has, without those that have left and come back since."""
        fresh: set[int] = self._consumer.fresh
        return self._told & (set(fetcher.partitions) - fresh)

    def _begin(self, fetcher: Any, new: Collection[int]) -> None:
        """Tell where partitions begin, and have them begin elsewhere where the listener says so."""
        starts = {self._places[number]: at for number, at in fetcher.starts().items() if number in new}
        moved = {place.partition: at for place, at in self._listener.assigned(starts).items()} if starts else {}
        if not moved:
            return
        for partition, offset in moved.items():
            fetcher.go_to(partition, offset)
            fetcher.begun.discard(partition)
        # Lag is measured by what Kafka has, and the next event may be long in coming.
        fetcher.commit(moved)

    def _place_rest(self, fetcher: Any) -> None:
        """Begin partitions that have got a leader only now."""
        placed = fetcher.place_rest()
        if placed:
            self._begin(fetcher, placed)
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
                self._moved_uncommitted = True
                log.warning(
                    "rebalance goes on before everything taken was committed",
                    code="kafka_rebalance_before_commit",
                    topic=self._topic_name,
                )
            yield
        finally:
            self._on_the_move.clear()

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """See `driver.Consumer.commit`."""
        with client.translated(f"commit offsets of topic {self._topic_name}"):
            with self._consumer._rebalancing_lock:
                fetcher = self._consumer._consumer
                held = self._uninterrupted(fetcher)
                mine = {
                    place.partition: offset
                    for place, offset in positions.items()
                    if place.topic == self._topic_name and place.partition in held
                }
                counted = fetcher.commit(mine)
            self._uncommitted = False
            self._settled.set()
        return {place: counted and place.topic == self._topic_name and place.partition in mine for place in positions}

    def _tell_gaps(self) -> None:
        while self._gaps:
            partition, wanted, earliest = self._gaps.popleft()
            self._listener.gap(self._places[partition], wanted, earliest)

    def _on_standing(self, partition: int, why: str | None) -> None:
        if why == transactions.SENTENCE and not self._standing.says(partition, why):
            taken = self._taken.get(partition, 0)
            self._standing.count_transactional(partition, taken - self._clean.get(partition, taken))
        self._standing.tell(partition, why)

    def close(self) -> None:
        """See `driver.Consumer.close`."""
        self._settled.set()
        self._closed.set()
        _stop(self._consumer)
        self._tell_gaps()
        self._standing.keep(())


def _stop(consumer: Any) -> None:
    try:
        consumer.stop()
    except Exception as error:  # noqa: BLE001 - the client is thrown away whatever it says
        log.debug(
            "Kafka consumer did not stop cleanly", code="kafka_close_failed", reason=f"{type(error).__name__}: {error}"
        )
