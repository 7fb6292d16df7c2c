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
from functools import partial
from typing import Any

import structlog

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.driver import AssignmentListener, RawMessage
from elworkers.connectors.kafka.pykafka import client, consumer_factory, progress, topic_creation, topics, transactions
from elworkers.connectors.kafka.pykafka.rebalance_guard import RebalanceGuard
from elworkers.connectors.kafka.pykafka.transaction_check import TransactionCheck
from elworkers.connectors.kafka.stalled_partitions import StalledPartitions
from elworkers.connectors.kafka.topic_identity import TopicIdentity
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError

_COMMIT_WAIT_SHARE = 0.4
_PAUSE_S = 0.1

log = structlog.get_logger(__name__)


class _TopicPartitions(dict[int, TopicPartition]):
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
        consumer_factory.check_rdkafka(options)
        self._listener = listener
        self._topic_name: str = options["topic"]
        self._group_name = group
        self._uses_default_reset = options["auto_offset_reset"] is None
        self._positions: dict[int, int] = {}
        self._reported: set[int] = set()
        self._offset_resets: deque[tuple[int, int, int]] = deque()
        self._fetcher: Any = None
        self._closed = threading.Event()
        self._stalled = StalledPartitions(self._topic_name, metrics)
        self._rdkafka: bool = options["use_rdkafka"]
        self._consumer: Any = None
        session_ms = options["session_timeout_ms"]
        self._guard = RebalanceGuard(min(session_ms, 30_000) / 1000 * _COMMIT_WAIT_SHARE, self._topic_name)
        cluster = client.connect(hosts, options, socket_timeout_ms=max(30_000, session_ms + 10_000))
        self._cluster = cluster
        self._transactions = TransactionCheck(cluster, self._topic_name)
        self._identity = TopicIdentity(partial(topics.ids, cluster), ",".join(sorted(hosts)), self._topic_name, metrics)
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        wanted = plan.of([self._topic_name])[self._topic_name]
        create = not self._identity.was_read
        topic = topic_creation.get_or_create(cluster, self._topic_name, *wanted[:2], create=create, fallback=plan.own)
        self._topic = topic
        metrics.remark(f"topic {self._topic_name}", wanted.differs(*topics.shape(topic)))
        self._identity.remember()
        self.topic_id = self._identity.topic_id
        self._partition_count = len(topic.partitions)
        self._partitions = _TopicPartitions(self._topic_name)
        self._metadata = topics.MetadataRefresher(cluster, options["metadata_max_age_ms"])
        self._consumer = self._join(cluster, topic, options)

    def _join(self, cluster: Any, topic: Any, options: Mapping[str, Any]) -> Any:
        with client.translate_errors(f"join group {self._group_name} for topic {self._topic_name}"):
            consumer = consumer_factory.create_consumer(cluster, topic, options, self._group_name)
            consumer.rebalance_guard, consumer.current_positions = self._rebalance_guard, self._current_positions
            consumer.on_offset_reset = lambda *reset: self._offset_resets.append(reset)
            consumer.on_stalled = self._on_stalled
            consumer.identity = self._identity
            try:
                consumer.start()
            except Exception:
                _stop(consumer)
                raise
        return consumer

    def assigned(self) -> list[TopicPartition]:
        """See `driver.Consumer.assigned`."""
        return self._topic_partitions(self._consumer.partitions)

    def stable_ends(self) -> dict[TopicPartition, int]:
        """See `driver.Consumer.stable_ends`."""
        found = progress.led_stable_ends(self._cluster, self._topic_name, self._consumer.partitions)
        return {self._partitions[number]: end for number, end in sorted(found.items())}

    def _topic_partitions(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [self._partitions[number] for number in sorted(partitions)]

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """See `driver.Consumer.poll`."""
        if self._metadata.refresh_if_old():
            self._refresh()
        deadline = time.monotonic() + timeout_s
        while True:
            with client.translate_errors(f"read topic {self._topic_name}"):
                self._consumer._raise_worker_exceptions()
                taken = self._take_messages(limit)
            self._notify_offset_resets()
            left = deadline - time.monotonic()
            if taken:
                return taken
            if self._guard.is_rebalancing and self._guard.uncommitted:
                # pykafka's thread waits for the commit that this leads to.
                self._listener.revoked(self.assigned(), lost=False)
                return taken
            if left <= 0:
                return taken
            with client.translate_errors(f"read topic {self._topic_name}"):
                self._wait(min(left, _PAUSE_S))

    def _refresh(self) -> None:
        self._identity.check()
        if len(self._topic.partitions) > self._partition_count:
            # pykafka's consumers never look beyond the partitions that they began with.
            raise RetryableError(
                f"topic {self._topic_name} has {len(self._topic.partitions)} partitions now, not"
                f" {self._partition_count}; joining the group anew"
            )
        with self._consumer._rebalancing_lock:
            if self._fetcher is not None and self._fetcher is self._consumer._consumer:
                self._check_transactions(self._fetcher)

    def _check_transactions(self, fetcher: Any) -> None:
        if not self._rdkafka:
            self._transactions.check(fetcher, self._positions)

    def _wait(self, pause_s: float) -> None:
        fetcher = self._fetcher
        if fetcher is None or not fetcher.partitions or self._guard.is_rebalancing:
            self._closed.wait(pause_s)
        elif self._rdkafka:
            if fetcher._messages_arrived.acquire(blocking=True, timeout=pause_s):
                fetcher._messages_arrived.release()
        else:
            fetcher.buffer.wait_for_messages(pause_s)

    def _take_messages(self, limit: int) -> list[tuple[TopicPartition, list[RawMessage]]]:
        # Held while messages are taken, so that pykafka cannot put another fetcher in place in the middle.
        with self._consumer._rebalancing_lock:
            fetcher = self._consumer._consumer
            if fetcher is None or self._guard.is_rebalancing:
                return []
            fetcher._raise_worker_exceptions()
            if fetcher is not self._fetcher:
                self._switch_fetcher(fetcher)
            if fetcher.unpositioned:
                self._position_rest(fetcher)
            found = self._consume_rdkafka(fetcher, limit) if self._rdkafka else fetcher.buffer.take(limit)
            taken = []
            for partition, messages in found:
                taken.append((self._partitions[partition], messages))
                self._positions[partition] = messages[-1][0] + 1
            if fetcher.skipped and not taken and not self._guard.uncommitted:
                self._commit_skipped(fetcher)
            self._guard.uncommitted = self._guard.uncommitted or bool(taken)
        return taken

    def _commit_skipped(self, fetcher: Any) -> None:
        """Commit positions behind the marker of a transaction, with which a log may end as well as with a message."""
        for partition, (begin, end) in list(fetcher.skipped.items()):
            if self._positions.get(partition, begin) == begin:
                fetcher.commit({partition: begin})
                self._positions[partition] = end
                del fetcher.skipped[partition]

    @staticmethod
    def _consume_rdkafka(fetcher: Any, limit: int) -> Iterator[tuple[int, list[RawMessage]]]:
        for number in range(limit):
            message = fetcher.consume(block=not number)
            if message is None:
                return
            yield message.partition_id, [(message.offset, message.timestamp or 0, message.partition_key, message.value)]

    def _switch_fetcher(self, fetcher: Any) -> None:
        held = set(fetcher.partitions)
        uninterrupted = self._uninterrupted(fetcher)
        departed = self._reported - uninterrupted
        if departed and self._guard.lost_uncommitted:
            self._listener.revoked(self._topic_partitions(departed), lost=True)
        self._guard.lost_uncommitted = False
        for partition in departed:
            self._positions.pop(partition, None)
        self._reported = uninterrupted
        self._notify_assigned(fetcher, held - uninterrupted)
        if fetcher.started and self._uses_default_reset:
            log.info(
                "a new group begins at the earliest, because auto_offset_reset is not given",
                code="kafka_group_starts_at_earliest",
                group=self._group_name,
                topic=self._topic_name,
                partitions=sorted(fetcher.started),
            )
        fetcher.started.clear()
        self._reported = held
        self._consumer.newly_assigned.clear()
        self._fetcher = fetcher
        self._check_transactions(fetcher)
        self._stalled.retain(held)
        log.info(
            "partitions assigned", code="kafka_partitions_assigned", topic=self._topic_name, partitions=sorted(held)
        )

    def _uninterrupted(self, fetcher: Any) -> set[int]:
        """Return the partitions that the listener has held without interruption."""
        newly_assigned: set[int] = self._consumer.newly_assigned
        return self._reported & (set(fetcher.partitions) - newly_assigned)

    def _notify_assigned(self, fetcher: Any, new: Collection[int]) -> None:
        """Call the listener for newly assigned partitions, and seek to where it wants them to begin."""
        positions = {self._partitions[number]: at for number, at in fetcher.positions().items() if number in new}
        moved = (
            {partition.partition: at for partition, at in self._listener.assigned(positions).items()}
            if positions
            else {}
        )
        if not moved:
            return
        for partition, offset in moved.items():
            fetcher.seek(partition, offset)
            fetcher.started.discard(partition)
        # Lag is measured by what Kafka has, and the next event may be long in coming.
        fetcher.commit(moved)

    def _position_rest(self, fetcher: Any) -> None:
        """Set positions of partitions that have got a leader only now."""
        positioned = fetcher.position_rest()
        if positioned:
            self._notify_assigned(fetcher, positioned)
            self._check_transactions(fetcher)

    def _current_positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    @contextlib.contextmanager
    def _rebalance_guard(self) -> Iterator[None]:
        if self._consumer is None:
            yield
            return
        with self._guard.hold(self._consumer._rebalancing_lock):
            yield

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """See `driver.Consumer.commit`."""
        with client.translate_errors(f"commit offsets of topic {self._topic_name}"):
            with self._consumer._rebalancing_lock:
                fetcher = self._consumer._consumer
                held = self._uninterrupted(fetcher)
                held_positions = {
                    partition.partition: offset
                    for partition, offset in positions.items()
                    if partition.topic == self._topic_name and partition.partition in held
                }
                is_counted = fetcher.commit(held_positions)
            self._guard.committed()
        return {
            partition: is_counted and partition.topic == self._topic_name and partition.partition in held_positions
            for partition in positions
        }

    def _notify_offset_resets(self) -> None:
        while self._offset_resets:
            partition, wanted, earliest = self._offset_resets.popleft()
            self._listener.offset_reset(self._partitions[partition], wanted, earliest)

    def _on_stalled(self, partition: int, why: str | None) -> None:
        if why == transactions.EXPLANATION and not self._stalled.is_stalled(partition, why):
            unchecked = self._transactions.unchecked(partition, self._positions.get(partition, 0))
            self._stalled.count_transactional(partition, unchecked)
        self._stalled.report(partition, why)

    def close(self) -> None:
        """See `driver.Consumer.close`."""
        self._guard.release()
        self._closed.set()
        _stop(self._consumer)
        self._notify_offset_resets()
        self._stalled.retain(())


def _stop(consumer: Any) -> None:
    try:
        consumer.stop()
    except Exception as error:  # noqa: BLE001 - the client is thrown away whatever it says
        log.debug(
            "Kafka consumer did not stop cleanly", code="kafka_close_failed", reason=f"{type(error).__name__}: {error}"
        )
