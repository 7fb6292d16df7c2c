# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Processes that read, write and commit in transactions of a Kafka in memory, and what a script does to them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from contract.kafka_drivers import Member, Memory, RecordingListener

from elworkers.connectors.kafka.exactly_once import WorkerTransaction
from elworkers.connectors.kafka.sink import KafkaSink, settings
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.kafka.transactional import TransactionalProducer
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core import loop
from elworkers.core.contracts import Output, Record
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.worker_state import State
from elworkers.roles.rejections import ErrorOutput, set_dead_letters

OUTPUTS = ("out", "copy")
ERRORS = "errors"
DROPPED = b"dropped"
MAX_BYTES = 2_000
LONGEST_SESSION_S = 6.5
SMALL = Batch(3, 0.0)

Action = Callable[["Site"], None]


class Killed(BaseException):
    """A process ends without another word."""


class Script:
    """Acts before each poll of a loop, and asks it to end when there is nothing left to do; takes the place of `Stop`.

    Args:
        site: what actions act on.
        actions: one is done before each poll.
        until: whether the loop may end, asked when all actions are done.
    """

    def __init__(self, site: Site, actions: Iterator[Action], until: Callable[[], bool]) -> None:
        self._site = site
        self._actions = actions
        self._until = until
        self._polls = 0

    @property
    def requested(self) -> bool:
        """See `stop.Stop.requested`."""
        self._polls += 1
        assert self._polls < 2_000, "the loop gets nowhere"
        action = next(self._actions, None)
        if action is None:
            return self._until()
        action(self._site)
        return False

    def wait(self, seconds: float) -> bool:
        """See `stop.Stop.wait`; the broker's time passes."""
        self._site.memory.broker.clock.advance(seconds)
        return False


class Quiet:
    """Nobody looks; a `worker_state.StateReporter`."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def report(self, state: State) -> None:
        pass

    def read(self, records: int) -> None:
        pass

    def trouble(self, reason: str) -> None:
        self.troubles.append(reason)


def is_dying() -> bool:
    """Whether what is done now would not be done, because the process was killed."""
    return isinstance(sys.exc_info()[1], Killed)


class Source(KafkaSource):
    """One whose process may be killed, so that it does not leave its group."""

    def close(self) -> None:
        if not is_dying():
            super().close()


class Transaction(WorkerTransaction):
    """One whose process may be killed, so that it stays open."""

    def close(self) -> None:
        if not is_dying():
            super().close()


class Peer:
    """Another worker of the group, which takes part only when it is told to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._member: Member | None = None
        self._producer: TransactionalProducer | None = None

    def turn(self) -> None:
        """Read what there is, write it and commit, as a member of the group."""
        memory = self._site.memory
        try:
            if self._member is None:
                self._member = memory.join(RecordingListener())
                self._producer = memory.transactional_producer("peer")
            self._write(self._member, self._producer)
        except RetryableError:
            self.leave()
        except Killed:
            self._member = self._producer = None

    def _write(self, member: Member, producer: TransactionalProducer | None) -> None:
        assert producer is not None
        member.values.clear()
        member.ends.clear()
        if not member.poll():
            return
        producer.begin()
        for topic, records in self._site.expected_of(member.values).items():
            producer.produce([Record(value) for value in records], lambda _, topic=topic: (topic, None))
        assert producer.flush() == []
        producer.send_offsets(member.ends, member.consumer.group_metadata())  # type: ignore[attr-defined]
        producer.commit()

    def leave(self) -> None:
        """Leave the group."""
        if self._member is not None:
            self._member.consumer.close()
        self._member = self._producer = None


class Site:
    """A topic, a process that copies it to two others, and a peer.

    Args:
        batch: of the process.

    Attributes:
        metrics: of all processes.
    """

    def __init__(self, batch: Batch = SMALL) -> None:
        self.memory = Memory()
        self.memory.broker.max_message_bytes = MAX_BYTES
        for name in (self.memory.topic, *OUTPUTS, ERRORS):
            self.memory.broker.get_or_create(name, 2)
        self.peer = Peer(self)
        self.metrics = Counters()
        self.reporter = Quiet()
        self.sent: list[bytes] = []
        self.pipelines: list[Pipeline] = []
        self._batch = batch

    def feed(self, *values: bytes, key: bytes = b"one") -> None:
        """Have these in the topic that is read, whatever its producers may send."""
        partition = self.memory.partitions[key == b"one"]
        self.memory.broker.append(partition, *values)
        self.sent += values

    def build(self, carry_over: CarryOver) -> Pipeline:
        """Return the pipeline of a process."""
        memory = self.memory
        transaction = Transaction()
        options = check_sink("kafka:///memory:9092?topic=out&partitions=2").options
        make = lambda: memory.driver.transactional_producer(memory.hosts, settings(options), "worker")  # noqa: E731
        outputs = [
            Output(
                KafkaSink(memory.hosts, options, lambda _, name=name: (name, None), transaction.with_producer(make)),
                lambda record: record.valid,
            )
            for name in OUTPUTS
        ]
        errors = KafkaSink(memory.hosts, options, lambda _: (ERRORS, None), transaction)
        uri = f"kafka:///memory:9092?topic={memory.topic}&partitions=2&session_timeout_ms=6000"
        source = Source(
            memory.hosts,
            check_source(uri).options,
            memory.group,
            self.metrics,
            kafka=memory.driver,
            transaction=transaction,
        )
        carry_over.source = source
        pipeline = Pipeline(source, [without_dropped], outputs, self._batch, transaction=transaction)
        self.pipelines.append(pipeline)
        return set_dead_letters(pipeline, ErrorOutput(errors, ERRORS))

    def run(self, actions: Sequence[Action] = (), until: Callable[[], bool] = lambda: True) -> None:
        """Run processes one after another, each of which is killed but the last."""
        rest = iter(actions)
        while True:
            try:
                loop.run(self.build, Script(self, rest, until), self.metrics, self.reporter)  # type: ignore[arg-type]
            except Killed:
                pass
            else:
                return

    def kill(self, operation: str, *, done: bool) -> None:
        """Kill the process at the next operation of this name, before or after that is done."""
        self.memory.broker.fail(operation, Killed(), done=done)  # type: ignore[arg-type]

    def finish(self) -> None:
        """Let everything pass, until all that was fed is committed."""
        self.memory.broker._failures.clear()
        self.memory.broker.down = False
        self.peer.leave()
        self._batch = SMALL
        self.run(until=self.is_done)
        # What a peer that was killed has left open holds up readers until the broker aborts it.
        self.memory.broker.clock.advance(61)
        self.memory.driver.admin(self.memory.hosts).topics()

    def is_done(self) -> bool:
        """Whether everything that was fed is committed."""
        committed, logs = self.memory.committed(), self.memory.broker.topics[self.memory.topic].logs
        return all(committed.get(one) == log.end for one, log in zip(self.memory.partitions, logs, strict=True))

    @staticmethod
    def expected_of(values: Sequence[bytes | None]) -> dict[str, list[bytes]]:
        """What each topic gets of these."""
        kept = [value for value in values if value is not None and not value.startswith(DROPPED)]
        small = [value for value in kept if len(value) <= MAX_BYTES]
        return {
            **dict.fromkeys(OUTPUTS, small),
            ERRORS: [b'{"uuid": "%b"}' % value[:9] for value in kept if len(value) > MAX_BYTES],
        }

    def committed(self, topic: str) -> Counter[bytes]:
        """What a reader of committed records gets of a topic."""
        logs = self.memory.broker.topics[topic].logs
        return Counter(message[3] or b"" for log in logs for message in log.read(0, 10_000))

    def check(self) -> None:
        """Check that readers of committed records find everything once."""
        wanted = self.expected_of(self.sent)
        for topic in OUTPUTS:
            assert self.committed(topic) == Counter(wanted[topic])
        uuids = [json.loads(value)["uuid"] for value in self.committed(ERRORS).elements()]
        assert len(set(uuids)) == len(uuids) == len(wanted[ERRORS])


def without_dropped(records: list[Record]) -> list[Record]:
    """A stage that leaves some out, so that a batch may have nothing to write."""
    return [record for record in records if not record.value.startswith(DROPPED)]
