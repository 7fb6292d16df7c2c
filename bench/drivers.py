# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One worker of a processor on each Kafka client, in turns, beside a bare copy and the stage alone.

All read the same topic of the same broker from its beginning. The bare copy is confluent-kafka's consumer and producer,
with the settings of the driver that matter for speed. The stage alone is the worker's own, without Kafka.
"""

from __future__ import annotations

import argparse
import gc
import sys
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from bench.processor import CONFLUENT, bare_copy, fill, lines, processor
from bench.rounds import Table, Taken, command, cpu_per_event, in_turns, ratio, row
from bench.stage import PARSED_AGENT, Bench, Turns, fresh_record
from bench.stage import lines as records
from elworkers.devstack import Stack

_PYKAFKA = "processor, kafka-pykafka"
_CONFLUENT = "processor, kafka-confluent"
_ONCE = "processor, kafka-confluent, exactly_once=True"
_BARE = "bare copy, confluent-kafka, fetch.queue.backoff.ms=5"
_STAGE = "stage alone"


def _stage_alone(bench: Bench) -> Callable[[], Taken]:
    return Turns(bench.stage(PARSED_AGENT), records("client-side"), 10_000, fresh_record)


def _sum(some: Sequence[Taken], others: Sequence[Taken]) -> list[Taken]:
    """Return, round by round, the processor time of both for the events of the first."""
    return [
        one._replace(cpu_s=one.cpu_s + other.cpu_s / other.events * one.events)
        for one, other in zip(some, others, strict=True)
    ]


def measure(given: argparse.Namespace) -> list[Table]:
    """Fill a topic, and have it read by each."""
    stack = Stack(given.stack)
    stack.up(given.part)
    kafka = stack.env()[given.part.upper().replace("-", "_")]
    topic = f"raw-{uuid.uuid4().hex[:8]}"
    count, size = fill(kafka, topic, lines(given.events))
    gc.freeze()
    by_confluent = partial(processor, kafka, topic, count, scheme="kafka-confluent")
    cases: dict[str, Callable[[], Taken]] = {
        _CONFLUENT: by_confluent,
        _ONCE: partial(by_confluent, options="&exactly_once=True"),
        _BARE: lambda: bare_copy(kafka, topic, count, CONFLUENT, "5"),
        _STAGE: _stage_alone(Bench()),
    }
    if given.part == "kafka":
        cases = {_PYKAFKA: partial(processor, kafka, topic, count, scheme="kafka-pykafka"), **cases}
    taken = in_turns(cases, given.rounds)
    ours, bare = taken[_CONFLUENT], taken[_BARE]
    table = Table(f"{count:,} raw lines of {size // count} bytes, two messages out for each, by Kafka client")
    table.rows = [row(name, runs) for name, runs in taken.items()]
    table.ratios = [
        ratio("CPU, confluent / (stage + bare copy)", ours, _sum(bare, taken[_STAGE]), cpu_per_event, at_most=1.15),
        ratio("rate, exactly once / without", taken[_ONCE], ours, at_least=0.5),
        ratio("CPU, exactly once / without", taken[_ONCE], ours, cpu_per_event, at_most=1.5),
    ]
    if by_pykafka := taken.get(_PYKAFKA):
        table.ratios += [
            ratio("rate, confluent / pykafka", ours, by_pykafka, at_least=1.25),
            ratio("CPU, confluent / pykafka", ours, by_pykafka, cpu_per_event, at_most=1.0),
        ]
    return [table]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--part", default="kafka", help="of the development stack: kafka or kafka44")


if __name__ == "__main__":
    sys.exit(command("drivers", measure, options=_options, rounds=3))
