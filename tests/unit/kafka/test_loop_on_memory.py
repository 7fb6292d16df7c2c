# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The loop between two topics of a Kafka in memory: what a rebalance or a failure in any place leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from contract.kafka_drivers import Memory
from waiting import wait_for

from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core import loop
from elworkers.core.contracts import Output
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State

DEADLINE_S = 20.0
_FOR_EVER_MS = 10**12
"""Of a session: the broker's clock runs as fast as workers find nothing to read."""

OLD = Batch(records=1_000, seconds=3_600)
"""A batch that is flushed only where somebody asks for it."""


class Quiet:
    """Nobody looks; a `worker_state.StateReporter` that says how many records were read."""

    def __init__(self) -> None:
        self.count = 0

    def report(self, state: State) -> None:
        pass

    def read(self, records: int) -> None:
        self.count += records

    def trouble(self, reason: str) -> None:
        pass


class Worker:
    """A loop in a thread, from the harness's topic to `out`."""

    def __init__(self, memory: Memory, batch: Batch) -> None:
        self.reporter, self.stop = Quiet(), Stop()
        self._memory = memory
        self._batch = batch
        self._thread = ThreadPoolExecutor(1)
        self._ends = self._thread.submit(loop.run, self._build, self.stop, Counters(), self.reporter)

    def _build(self, kept: CarryOver) -> Pipeline:
        memory = self._memory
        uri = f"kafka:///memory:9092?topic={memory.topic}&partitions=2&session_timeout_ms={_FOR_EVER_MS}"
        source = KafkaSource(memory.hosts, check_source(uri).options, memory.group, memory.metrics, kafka=memory.driver)
        options = check_sink("kafka:///memory:9092?topic=out").options
        sink = KafkaSink(memory.hosts, options, lambda _: ("out", None), memory.producer(kept.delivered))
        return Pipeline(source, [], [Output(sink, lambda _: True)], self._batch)

    def end(self) -> None:
        self.stop.request()
        self._ends.result(DEADLINE_S)
        self._thread.shutdown()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def start(memory: Memory) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def start(batch: Batch) -> Worker:
        made.append(Worker(memory, batch))
        return made[-1]

    yield start
    for one in made:
        one.stop.request()


def values(memory: Memory) -> list[bytes | None]:
    return sorted(memory.broker.values("out"), key=str)


def test_a_rebalance_in_the_middle_of_a_batch_stores_it_once(memory: Memory, start: Callable[..., Worker]) -> None:
    memory.feed(b"1", b"2")
    memory.feed(b"3", b"4", key=b"two")
    first = start(OLD)
    wait_for(lambda: first.reporter.count == 4, DEADLINE_S, "the batch")
    second = memory.join()
    wait_for(lambda: (second.poll(), second.consumer.assigned())[1], DEADLINE_S, "a partition for the other member")
    assert values(memory) == [b"1", b"2", b"3", b"4"]
    assert memory.committed() == dict.fromkeys(memory.partitions, 2)
    second.poll()
    assert second.values == []
    first.end()
    assert values(memory) == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("operation", ["connect", "join", "poll", "produce", "commit"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "behind"])
def test_after_a_failure_in_any_place_nothing_is_missing(
    memory: Memory, start: Callable[..., Worker], operation: str, done: bool
) -> None:
    memory.feed(*(b"%d" % number for number in range(5)))
    memory.broker.fail(operation, RetryableError("planted"), done=done)
    worker = start(Batch(2, 0.0))
    # Not by a client, for which the failure could be as well.
    group, one = memory.group, memory.partitions[1]
    wait_for(lambda: memory.broker.committed(group, [one]).get(one) == 5, DEADLINE_S, "everything is committed")
    worker.end()
    # Where the answer to a write was lost, that is written again; what was acknowledged before a commit that failed is
    # not.
    twice = [b"0", b"1"] if (operation, done) == ("produce", True) else []
    assert values(memory) == sorted([*(b"%d" % number for number in range(5)), *twice])


def test_workers_share_a_topic_and_no_thread_is_left(memory: Memory, start: Callable[..., Worker]) -> None:
    before = threading.active_count()
    workers = [start(Batch(3, 0.0)) for _ in range(2)]
    for number in range(20):
        memory.feed(b"%02d" % number, key=b"one" if number % 2 else b"two")
    wait_for(lambda: sum(memory.committed().values()) == 20, DEADLINE_S, "everything is committed")
    for worker in workers:
        worker.end()
    assert values(memory) == [b"%02d" % number for number in range(20)]
    assert threading.active_count() == before
