# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The processor's stage, bytes in and bytes out, beside one bare call of jsonschema on the same events.

Recorded lines go through the stage as a worker runs it: uuid, capsule, validation, user agents, metrics and the time
budget; no Kafka. The bare call is `Draft3Validator(schema).validate(capsule)` with the event's schema inside the
capsule's, as the original made it. They take the same valid lines in turns, a few at a time, and that ratio is what is
wanted; beside it the same with the lines that are wrong among them.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import ua_parser
from ua_parser import Parser, basic, regex
from ua_parser.loaders import load_builtins

from bench import rounds
from bench.rounds import Ratio, Row, Table, Taken
from elworkers.core.budget import Budget
from elworkers.core.contracts import Assignment, Event, Record
from elworkers.core.event_retention import EventRetention
from elworkers.core.metrics import Counters
from elworkers.events import user_agent
from elworkers.events.capsule import add_defaults
from elworkers.events.fast_parse import FastParser, unquote_query
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import CAPSULE, Validator
from elworkers.stages.process import ProcessStage

_MISSES = (0, 2, 5, 20)
"""Percent of lines whose user agent is not in the cache."""

DEMO = Path(__file__).parent.parent / "demo"
PARSED_AGENT = "%q %{recvFrom}s %{seqId}d %t %o %u"
OF_2016 = "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i"
SERVER_SIDE = "%{seqId}d EventLogging %j"

WANTED = 85 / 8
ORIGINAL = 225 / 85
"""The original's whole stage by its call of jsonschema, µs, both on one machine."""

_VALID = "stage, valid lines"
_STAGE = "stage, wrong lines among them"
_BARE = "bare jsonschema"
_MS = 1_469_795_696_000


def lines(name: str) -> list[Record]:
    """Return the recorded lines of one side as a worker gets them from Kafka."""
    found = gzip.decompress((DEMO / f"{name}-lines.txt.gz").read_bytes()).splitlines()
    if name == "server-side":
        found = [b"%d\t%b" % (number, line) for number, line in enumerate(found)]
    origin = Assignment(f"eventlogging-{name}", 0)
    return [Record(line, origin=origin, offset=at, timestamp_ms=_MS) for at, line in enumerate(found)]


class Bench:
    """Stages by format, and the bare call."""

    def __init__(self) -> None:
        self.store = SchemaStore([str(DEMO / "schemas")])
        self.validator = Validator(self.store)
        self._whole: dict[tuple[str, int], dict[str, Any]] = {}

    def stage(self, text: str, *, retention: EventRetention = EventRetention.ROUTING_FIELDS) -> ProcessStage:
        """Return a stage as `roles.processor` wires it for outputs that ask for the schema alone."""
        counters, budget = Counters(), Budget(1.0)
        return ProcessStage(compile_format(text), self.validator, counters, budget, retention)

    def bare(self, events: Sequence[Event]) -> int:
        """Judge each capsule with one call of jsonschema."""
        for event in events:
            jsonschema.Draft3Validator(self._schema(event["schema"], event["revision"])).validate(event)
        return len(events)

    def _schema(self, name: str, revision: int) -> dict[str, Any]:
        found = self._whole.get((name, revision))
        if found is None:
            capsule = self.store.schema(*CAPSULE).strict
            event = {**self.store.schema(name, revision).strict, "required": True}
            found = {**capsule, "properties": {**capsule["properties"], "event": event}}
            self._whole[name, revision] = found
        return found


class Turns:
    """A case for `rounds.in_turns`: each turn does the next few of its items, and begins again behind the last.

    Args:
        work: takes the items of a turn.
        items: what to work on.
        each: how many a turn does.
        fresh: copies an item before the turn, not timed: what a worker works on has just come, and is in a cache.
    """

    def __init__(
        self,
        work: Callable[[list[Any]], object],
        items: Sequence[Any],
        each: int = 250,
        fresh: Callable[[Any], Any] = lambda item: item,
    ) -> None:
        self._work = work
        self._items = list(items)
        self._each = each
        self._fresh = fresh
        self._at = 0

    def __call__(self) -> Taken:
        """One turn."""
        if self._at + self._each > len(self._items):
            self._at = 0
        items = self._items[self._at : self._at + self._each]
        self._at += self._each
        # A worker's code is in the processor's cache too; here another case has just run.
        self._work([self._fresh(item) for item in items])
        part = [self._fresh(item) for item in items]
        # The thread's time: while a profiling timer is armed, Linux counts a process's by ticks.
        began, cpu = time.perf_counter(), time.thread_time()
        self._work(part)
        return Taken(len(part), time.perf_counter() - began, time.thread_time() - cpu)


def fresh_record(record: Record) -> Record:
    """Return the same line as if it had just come."""
    value = bytes(bytearray(record.value))
    return Record(value, origin=record.origin, offset=record.offset, timestamp_ms=record.timestamp_ms)


def fresh_event(event: Event) -> Event:
    """Return the same event as if it had just been parsed."""
    found: Event = orjson.loads(orjson.dumps(event))
    return found


def fresh_bytes(text: bytes) -> bytes:
    """Return the same bytes as if they had just come."""
    return bytes(bytearray(text))


def each(call: Callable[[Any], object]) -> Callable[[list[Any]], object]:
    """Return the call made with each item."""

    def work(items: list[Any]) -> None:
        for item in items:
            call(item)

    return work


class Strangers:
    """Copies lines as if they had just come, and gives some of them a user agent that is new.

    Args:
        percent: of the lines.
    """

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._count = 0

    def __call__(self, record: Record) -> Record:
        """Return the line for the next turn."""
        self._count += 1
        fresh = fresh_record(record)
        if self._count * self._percent % 100 < self._percent:
            fresh.value = b"%b Stranger/%d.%d" % (fresh.value.rstrip(b'"'), id(self) % 997, self._count)
        return fresh


def with_parser(parser: ua_parser.Parser, work: Callable[[list[Any]], object]) -> Callable[[list[Any]], object]:
    """Return the work done with this parser of user agents."""

    def done(items: list[Any]) -> None:
        ua_parser.parser = parser
        work(items)

    return done


def parts(bench: Bench, records: Sequence[Record]) -> dict[str, Turns]:
    """Return the steps of a valid event's way, each by itself."""
    budget = Budget(1.0)
    columns = FastParser(PARSED_AGENT)
    split = [record.value.split(None, 5) for record in records]
    done = [one.event for one in bench.stage(PARSED_AGENT, retention=EventRetention.UNTIL_FLUSHED)(list(records))]

    def begun(record: Record) -> None:
        budget.current_record = record
        budget.current_record = None

    return {
        "line into columns": Turns(
            each(lambda line: line.split(None, 5)), [one.value for one in records], 250, fresh_bytes
        ),
        "percent escapes": Turns(each(unquote_query), [line[0] for line in split], 250, fresh_bytes),
        "JSON to an event": Turns(each(orjson.loads), [unquote_query(line[0]) for line in split], 250, fresh_bytes),
        "user agent (in the cache)": Turns(each(user_agent.of_header), [line[5] for line in split], 250, fresh_bytes),
        "complete: uuid, time": Turns(
            each(lambda event: add_defaults(event, _MS)), records, 250, lambda record: columns.read(record.value)
        ),
        "validate": Turns(each(bench.validator.validate_fast), done, 250, fresh_event),
        "event to JSON": Turns(each(orjson.dumps), done, 250, fresh_event),
        "the record that goes on": Turns(each(lambda record: record.staged(b"", {})), records),
        "time budget": Turns(each(begun), records),
    }


def measure(given: argparse.Namespace) -> Sequence[Table]:
    """See the module."""
    bench = Bench()
    client, server = lines("client-side"), lines("server-side")
    before = user_agent.cache_info()
    made = bench.stage(PARSED_AGENT, retention=EventRetention.UNTIL_FLUSHED)(client)
    hits, misses = (now - then for now, then in zip(user_agent.cache_info(), before, strict=True))
    bench.stage(SERVER_SIDE)(server)
    events = [one.event for one in made if one.valid and one.event]
    valid = [record for record, one in zip(client, made, strict=True) if one.valid]
    del made
    cases = {
        _VALID: Turns(bench.stage(PARSED_AGENT), valid, 250, fresh_record),
        _STAGE: Turns(bench.stage(PARSED_AGENT), client, 250, fresh_record),
        "stage, format of 2016": Turns(bench.stage(OF_2016), client, 250, fresh_record),
        "stage, server side": Turns(bench.stage(SERVER_SIDE), server, 250, fresh_record),
        _BARE: Turns(bench.bare, events, 50, fresh_event),
    }
    steps = parts(bench, valid[:5_000])
    # What the measurement itself holds is no worker's to go through.
    gc.freeze()
    taken = rounds.in_turns({**cases, **steps}, given.rounds)
    whole = Table(f"Stage: {len(client):,} client-side and {len(server):,} server-side lines")
    whole.rows = [rounds.row(name, taken[name]) for name in cases]
    cpu = rounds.cpu_per_event
    by_original = [one._replace(cpu_s=one.cpu_s * ORIGINAL) for one in taken[_BARE]]
    whole.ratios = [
        rounds.ratio("the bare call by the stage, processor time", taken[_BARE], taken[_VALID], cpu, at_least=WANTED),
        rounds.ratio("the original's stage by this one, derived", by_original, taken[_VALID], cpu, at_least=28),
        rounds.ratio("the bare call by the stage, wrong lines among them", taken[_BARE], taken[_STAGE], cpu),
        rounds.ratio("the bare call by the stage, format of 2016", taken[_BARE], taken["stage, format of 2016"], cpu),
        rounds.ratio("the bare call by the stage, server side", taken[_BARE], taken["stage, server side"], cpu),
        Ratio("user agents found in the cache, from an empty one", hits / (hits + misses)),
    ]
    whole.notes = [
        "About 2 % of all lines are wrong.",
        f"Derived: the original's stage takes {ORIGINAL:.2f} times as long as its call of jsonschema (225 and 85 µs).",
    ]
    return [whole, _breakdown(taken, steps), _of_user_agents(bench, valid, given.rounds)]


def _of_user_agents(bench: Bench, valid: Sequence[Record], count: int) -> Table:
    """Measure the stage with the parser that is installed and the one in Python alone, in turns."""
    parsers = {"": Parser(regex.Resolver(load_builtins())), ", Python alone": Parser(basic.Resolver(load_builtins()))}
    cases = {
        f"{percent} % new user agents{name}": Turns(
            with_parser(parser, bench.stage(PARSED_AGENT)), valid, 250, Strangers(percent)
        )
        for percent in _MISSES
        for name, parser in parsers.items()
    }
    taken = rounds.in_turns(cases, count)
    table = Table("Stage, by the share of user agents that are not in the cache")
    table.rows = [rounds.row(name, taken[name]) for name in cases]
    slow, quick = (taken[f"20 % new user agents{name}"] for name in (", Python alone", ""))
    table.ratios = [rounds.ratio("Python alone by the parser installed, 20 % new", slow, quick, rounds.cpu_per_event)]
    return table


def _breakdown(taken: Mapping[str, Sequence[Taken]], steps: Iterable[str]) -> Table:
    table = Table("Where each microsecond goes (0.10 s per 100,000 are 1 µs an event)")
    table.rows = [rounds.row(name, taken[name]) for name in steps]
    in_steps = sum(one.cpu_s_per_100k for one in table.rows)
    valid, all_lines = (rounds.row(name, taken[name]).cpu_s_per_100k for name in (_VALID, _STAGE))
    for what, cpu_s in (("all else, valid lines", valid - in_steps), ("the lines that are wrong", all_lines - valid)):
        table.rows.append(Row(what, 100_000 / max(cpu_s, 0.001), cpu_s))
    return table


if __name__ == "__main__":
    sys.exit(rounds.command("stage", measure, rounds=200))
