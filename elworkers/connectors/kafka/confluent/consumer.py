# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a topic's partitions as a member of a consumer group, by librdkafka.

Partitions move in callbacks, which librdkafka calls in the thread that polls. No exception may cross such a callback:
what is raised in one is kept, and raised by the poll.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import OffsetSpec

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.confluent import membership
from elworkers.connectors.kafka.confluent.admin import Admin
from elworkers.connectors.kafka.confluent.bounded import Bounded
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.commits import Commits
from elworkers.connectors.kafka.confluent.errors import translate_errors, translated
from elworkers.connectors.kafka.confluent.held import Held, by_partition
from elworkers.connectors.kafka.confluent.lookups import led_partitions
from elworkers.connectors.kafka.confluent.partition_faults import PartitionFaults
from elworkers.connectors.kafka.confluent.starts import Starts
from elworkers.connectors.kafka.driver import AssignmentListener, RawMessage
from elworkers.connectors.kafka.topic_identity import TopicIdentity
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError

_PAUSE_S = 0.1
_REGAIN_S = 10.0
"""Seconds after which partitions are taken anew that a refused commit has given up and nobody has taken."""
_DOWN_S, _ANSWER_WITHIN_S = 5.0, 3.0
"""Seconds after which brokers that are all away are asked once more, and after which that is an outage."""
_PENDING = "a transaction that is open has its group's offsets"
_LEAVE_S = 2.0
"""Seconds that a member has to give its partitions back."""
_DROPPED = 1_000
_CLOSE_S = 5.0
"""Seconds after which a client is left to close by itself: one with a commit on its way waits for a coordinator."""

log = structlog.get_logger(__name__)


class GroupConsumer:
    """A member of a consumer group; implements `transactional.TransactionalConsumer`.

    Args:
        hosts, options, group, listener, metrics, plan: see `driver.Driver.consumer`.
        max_poll_interval_ms: longest time between two polls; a member that is silent for longer is given up.

    Raises:
        ConfigurationError: an option cannot be had.
        RetryableError: Kafka does not answer.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - see `driver.Driver.consumer`
        self,
        hosts: Sequence[str],
        options: Mapping[str, Any],
        group: str,
        listener: AssignmentListener,
        metrics: Metrics,
        plan: TopicPlan | None,
        max_poll_interval_ms: int,
        static_id: str | None = None,
    ) -> None:
        self._topic: str = options["topic"]
        self._group = group
        self._listener = listener
        self._held: dict[int, Held] = {}
        self._assigned: set[int] = set()
        self._lost: set[int] = set()
        self._told = False
        self._closing = False
        # One that unsubscribes leaves, and its partitions would move.
        self._is_static = static_id is not None
        self._in_callback = False
        self._error: BaseException | None = None
        self._regain_at = 0.0
        self._down_since: float | None = None
        self._events = ClientEvents(hosts)
        self._admin = Admin(hosts, options)
        try:
            self._identity = TopicIdentity(self._admin.topic_ids, ",".join(sorted(hosts)), self._topic, metrics)
            partitions = self._find_topic(hosts, options, metrics, plan)
            self._membership = membership.Membership(
                hosts, options, group, max_poll_interval_ms, self._events, static_id
            )
            self._client = self._join()
        except BaseException:
            self._admin.close()
            raise
        self.topic_id = self._identity.topic_id
        self._partition_count = partitions
        self._starts = Starts(self._admin, self._identity, self._topic, group, options, partitions)
        self._commits = Commits(self._events, self._topic, self._identity)
        self._faults = PartitionFaults(self._topic, metrics)
        self._max_age_s: float = options["metadata_max_age_ms"] / 1000
        self._refresh_at = time.monotonic() + self._max_age_s

    def _find_topic(
        self, hosts: Sequence[str], options: Mapping[str, Any], metrics: Metrics, plan: TopicPlan | None
    ) -> int:
        plan = plan or TopicPlan(None, hosts, (options["partitions"], options["replication"]))
        wanted = plan.of([self._topic])[self._topic]
        create = not self._identity.was_read
        shape = self._admin.find_or_create(self._topic, wanted[:2], plan.own, create=create)
        metrics.remark(f"topic {self._topic}", wanted.differs(*shape))
        self._identity.remember()
        return shape.partitions

    def _join(self) -> Consumer:
        client = self._membership.client()
        with translate_errors(f"join group {self._group} for topic {self._topic}", self._events):
            client.subscribe([self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        return client

    def _join_anew(self) -> None:
        """Have another client join, because this one cannot."""
        self._close_client()
        self._forget(set(self._assigned))
        self._client = self._join()
        self._closing = False

    def assigned(self) -> list[TopicPartition]:
        """See `driver.Consumer.assigned`."""
        return self._partitions(self._held)

    def _partitions(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]

    def stable_ends(self) -> dict[TopicPartition, int]:
        """See `driver.Consumer.stable_ends`."""
        lookups = self._admin.lookups
        found = lookups.topic(self._topic)
        led = [one for one in led_partitions(found) if one.partition in self._held] if found is not None else []
        return dict(sorted(lookups.offsets(led, OffsetSpec.latest(), stable=True).found.items()))

    def group_metadata(self) -> object:
        """See `transactional.TransactionalConsumer.group_metadata`."""
        return self._client.consumer_group_metadata()

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[TopicPartition, list[RawMessage]]]:
        """See `driver.Consumer.poll`."""
        deadline = time.monotonic() + timeout_s
        self._told = False
        self._tell_lost()
        while True:
            self._look_after_partitions()
            messages = self._consume(limit, deadline - time.monotonic())
            self._raise_kept()
            if self._membership.falls_back():
                self._join_anew()
            taken, errors, cut = by_partition(messages, self._held)
            # Before the errors: what makes a partition stand still may come behind messages of the same partition.
            for number in taken:
                self._faults.goes_on(number)
            for error in errors:
                self._take_error(error)
            for number in cut & self._held.keys():
                self._assign_anew(number, paused=self._faults.has(number))
            self._tell_lost()
            if taken:
                self._answered()
                return [(TopicPartition(self._topic, number), some) for number, some in taken.items()]
            self._commit_markers()
            if self._told or time.monotonic() >= deadline:
                return []

    def _consume(self, limit: int, left_s: float) -> list[Message]:
        """Return what is there; waits only where nothing is, because librdkafka would wait for all of `limit`."""
        with translate_errors(f"read topic {self._topic}", self._events):
            found = self._client.consume(limit, timeout=0)
            if found or left_s <= 0:
                return found
            found = self._client.consume(1, timeout=min(left_s, _PAUSE_S))
            return found + self._client.consume(limit - 1, timeout=0) if found and limit > 1 else found

    def _raise_kept(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _look_after_partitions(self) -> None:
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh()
            self._refresh_at = time.monotonic() + self._max_age_s
        if self._events.all_down:
            self._check_outage(now)
        for number in self._faults.due(now):
            if number in self._held:
                self._go_on(number)
        missing = self._assigned - self._held.keys()
        if missing and now >= self._regain_at:
            self._regain_at = now + _REGAIN_S
            self._take(missing)
            for number in missing & self._held.keys():
                self._assign_anew(number)

    def _refresh(self) -> None:
        self._identity.check()
        found = self._admin.lookups.topic(self._topic)
        if found is None:
            raise RetryableError(f"Kafka: topic {self._topic} was deleted while it was read")
        if len(found.partitions) > self._partition_count:
            raise RetryableError(
                f"topic {self._topic} has {len(found.partitions)} partitions now, not {self._partition_count}; joining"
                " the group anew"
            )
        self._faults.leaders({one.partition for one in led_partitions(found)}, self._held)

    def _check_outage(self, now: float) -> None:
        """Raise what an operator has to know; librdkafka itself tries for ever, and says nothing when it succeeds."""
        if self._down_since is None:
            self._down_since = now
        elif now - self._down_since > _DOWN_S:
            self._admin.lookups.metadata(self._topic, _ANSWER_WITHIN_S)
            self._answered()

    def _answered(self) -> None:
        self._events.connected()
        self._down_since = None

    def _take_error(self, message: Any) -> None:
        error: KafkaError = message.error()
        number: int = message.partition()
        code = error.code()
        held = self._held.get(number) if message.topic() == self._topic else None
        if code == KafkaError._PARTITION_EOF:
            self._answered()
            if held is not None:
                held.end = message.offset()
                self._faults.goes_on(number)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            if held is not None:
                self._identity.check()
                self._go_on(number)
        elif code in (KafkaError._MAX_POLL_EXCEEDED, *membership.PASSING):
            log.debug("librdkafka says", code="kafka_client_log", text=error.str())
        elif self._membership.falls_back(error):
            self._join_anew()
        elif code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
            self._refresh()
        elif held is not None and code not in membership.REFUSED:
            self._client.pause([ClientPartition(self._topic, number)])
            self._faults.stands_still(number, f"it cannot be read: {error.str()}")
        else:
            raise translated(error, f"read topic {self._topic} as group {self._group}", self._events)

    def _go_on(self, number: int) -> None:
        """Assign a partition anew at its position, or at the earliest offset where that is gone."""
        partition = TopicPartition(self._topic, number)
        held = self._held[number]
        earliest = self._admin.lookups.offsets([partition], OffsetSpec.earliest()).found.get(partition)
        latest = self._admin.lookups.offsets([partition], OffsetSpec.latest()).found.get(partition)
        if earliest is None or latest is None:
            self._faults.has_no_leader(number)
            return
        if not earliest <= held.next <= latest:
            wanted, held.next, held.end = held.next, earliest, -1
            self._listener.offset_reset(partition, wanted, earliest)
        self._faults.tried(number)
        self._assign_anew(number)

    def _assign_anew(self, number: int, *, paused: bool = False) -> None:
        partition = ClientPartition(self._topic, number, self._held[number].next)
        with translate_errors(f"read partition {number} of topic {self._topic}", self._events):
            self._client.incremental_unassign([partition])
            self._client.incremental_assign([partition])
            (self._client.pause if paused else self._client.resume)([partition])

    def _commit_markers(self) -> None:
        """Commit positions behind markers of transactions, with which a log may end as well as with a message."""
        for number, held in list(self._held.items()):
            if held.markers_to_commit:
                self.commit({TopicPartition(self._topic, number): held.next})

    def commit(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, bool]:
        """See `driver.Consumer.commit`."""
        wanted = {
            one.partition: self._held[one.partition].past_markers(offset)
            for one, offset in positions.items()
            if one.topic == self._topic and one.partition in self._held
        }
        counted = self._commit(wanted)
        return {one: one.topic == self._topic and one.partition in counted for one in positions}

    def note_committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """See `transactional.TransactionalConsumer.note_committed`; markers behind are committed when it is idle."""
        for one, offset in positions.items():
            if one.topic == self._topic and one.partition in self._held:
                self._held[one.partition].committed = offset

    def _commit(self, wanted: Mapping[int, int]) -> set[int]:
        if not wanted:
            return set()
        if not self._commits.commit(self._client, wanted, in_callback=self._in_callback):
            # The group has moved on without this member; whoever has its partitions reads again.
            self._lost |= self._held.keys()
            self._held.clear()
            self._regain_at = time.monotonic() + _REGAIN_S
            return set()
        for number, offset in wanted.items():
            held = self._held.get(number)
            if held is not None:
                if held.next < offset == held.end:
                    held.next = offset
                held.committed = offset
        return set(wanted)

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, set()
        if lost:
            self._told = True
            self._listener.revoked(self._partitions(lost), lost=True)

    def _guarded(self, call: Callable[[], None]) -> None:
        """Call from a callback of librdkafka; what is raised is kept for the poll."""
        self._in_callback = True
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised by the poll
            self._error = self._error or error
        finally:
            self._in_callback = False

    def _on_assign(self, client: Consumer, partitions: Sequence[ClientPartition]) -> None:
        new = {one.partition for one in partitions}
        self._assigned |= new
        if self._closing:
            # Nobody reads them, but librdkafka goes on only when it is told something.
            self._guarded(lambda: client.incremental_assign(list(partitions)))
            return
        self._guarded(lambda: self._take(new))
        self._guarded(lambda: self._assign(client, new))

    def _assign(self, client: Consumer, new: Collection[int]) -> None:
        with translate_errors(f"read topic {self._topic}", self._events):
            positions = {number: self._held[number].next if number in self._held else 0 for number in new}
            client.incremental_assign([ClientPartition(self._topic, one, at) for one, at in positions.items()])
            waiting = [ClientPartition(self._topic, number) for number in new if number not in self._held]
            if waiting:
                client.pause(waiting)

    def _take(self, new: Collection[int]) -> None:
        """Find where partitions begin, and tell the listener; those of which nobody can say it wait."""
        positions = self._starts.positions(self._client, self._partitions(new))
        begun = self._starts.begun
        self._told = True
        moved = self._listener.assigned(positions) if positions else {}
        to_commit = {**begun, **moved}
        for partition, start in {**positions, **moved}.items():
            self._held[partition.partition] = Held(start, start)
        # A group that begins at the latest and sees no event would, after a restart, pass over what came in between.
        self._commit({one.partition: at for one, at in to_commit.items()})
        for partition in self._partitions(set(new) - self._held.keys()):
            if partition in self._starts.pending:
                self._faults.stands_still(partition.partition, _PENDING)
            else:
                self._faults.has_no_leader(partition.partition)
        self._regain_at = time.monotonic() + _REGAIN_S
        log.info(
            "partitions assigned",
            code="kafka_partitions_assigned",
            topic=self._topic,
            partitions=sorted(self._held),
        )

    def _on_revoke(self, client: Consumer, partitions: Sequence[ClientPartition]) -> None:
        self._leave(client, partitions, lost=False)

    def _on_lost(self, client: Consumer, partitions: Sequence[ClientPartition]) -> None:
        self._leave(client, partitions, lost=True)

    def _leave(self, client: Consumer, partitions: Sequence[ClientPartition], *, lost: bool) -> None:
        leaving = {one.partition for one in partitions}
        if not self._closing:
            self._guarded(lambda: self._revoke(leaving & self._held.keys(), lost=lost))
        self._forget(leaving)
        self._guarded(lambda: client.incremental_unassign(list(partitions)))

    def _revoke(self, leaving: set[int], *, lost: bool) -> None:
        if not leaving:
            return
        self._told = True
        if lost:
            self._lost |= leaving
            return
        try:
            self._listener.revoked(self._partitions(leaving), lost=False)
        except BaseException:
            # They leave all the same, without what was to be committed.
            self._lost |= leaving
            raise

    def _forget(self, leaving: Collection[int]) -> None:
        for number in leaving:
            self._held.pop(number, None)
        self._assigned -= set(leaving)
        self._faults.retain(self._assigned)

    def close(self) -> None:
        """See `driver.Consumer.close`."""
        self._close_client()
        self._commits.close()
        self._held.clear()
        self._faults.retain(())
        self._admin.close()

    def _leave_group(self) -> None:
        """Leave while callbacks can be answered.

        In a client that is closing, librdkafka may forget to answer a callback's call, and the process stands still.
        """
        deadline = time.monotonic() + _LEAVE_S
        try:
            self._client.unsubscribe()
            # What was on its way is heard by the first poll.
            self._client.consume(_DROPPED, timeout=0)
            while self._assigned and time.monotonic() < deadline:
                self._client.consume(_DROPPED, timeout=_PAUSE_S)
        except Exception as error:  # noqa: BLE001 - the client is thrown away whatever it says
            _log_close_failure(error)

    def _close_client(self) -> None:
        self._closing = True
        if not self._is_static:
            self._leave_group()
        closing = Bounded()
        try:
            closing.call(self._client.close, _CLOSE_S)
        except Exception as error:  # noqa: BLE001 - the client is thrown away whatever it says
            _log_close_failure(error)
        closing.close()


def _log_close_failure(error: Exception) -> None:
    log.debug(
        "Kafka consumer did not close cleanly", code="kafka_close_failed", reason=f"{type(error).__name__}: {error}"
    )
