# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A consumer without events asks the database nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from databases import Place

from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core import loop
from elworkers.core.contracts import Output, Record
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Batch, CarryOver, Pipeline
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State
from elworkers.events.json_text import to_bytes
from elworkers.stages.decode import DecodeStage

_POLLS = 10


class Watch:
    """A board that is shown something after each poll; the server's count of statements by then.

    Args:
        place: the database.
        stop: requested after so many polls that follow the one whose event is stored.
    """

    def __init__(self, place: Place, stop: Stop) -> None:
        self._place, self._stop = place, stop
        self.statements: list[int] = []

    def report(self, _state: State) -> None:
        # Each look is a few statements itself, always as many.
        if self._place.total("rows_inserted"):
            self.statements.append(self._place.asked("Questions"))
        if len(self.statements) > _POLLS:
            self._stop.request()

    def read(self, records: int) -> None:
        pass

    def trouble(self, reason: str) -> None:
        pass


def test_nothing_is_asked_while_no_event_comes(maria: Place, kafka: str, unique: Callable[[str], str]) -> None:
    topic, stop = unique("topic"), Stop()
    event = maria.record(1, {"a": "x"}).event
    assert event is not None
    sink = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}").options, lambda _: (topic, None))
    sink.write([Record(to_bytes(event))])
    sink.flush()
    sink.close()
    options = check_source(f"kafka:///{kafka}?topic={topic}&auto_offset_reset=earliest").options

    def build(_kept: CarryOver) -> Pipeline:
        store = maria.sink({"a": {"type": "string"}}, f"group-{topic}")
        source = KafkaSource([kafka], options, f"group-{topic}", Counters(), store)
        return Pipeline(source, [DecodeStage(Counters())], [Output(store, lambda _: True)], Batch(3_000, 0.1))

    # Before the run: a server counts a connection's end when it gets to it, one of this run perhaps between two looks.
    # The least of several, as one of an earlier test may end now too.
    looks = [maria.asked("Questions") for _ in range(4)]
    look = min(after - before for before, after in pairwise(looks))
    watch = Watch(maria, stop)
    loop.run(build, stop, Counters(), watch)
    assert [after - before for before, after in pairwise(watch.statements)] == [look] * _POLLS
