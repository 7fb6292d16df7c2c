# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What pool parents and workers of every role hold in memory, at rest and after work: `python -m bench.memory`.

Resident memory counts what a process shares with others in full (RSS); beside it its share (PSS). The interpreter and
the libraries of the machine are in both.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.pools import Pool, pss_mib, rss_mib, wait_for
from bench.rawlines import FORMAT, RawLines, unique
from bench.rounds import Ratio, Table, command
from elworkers.connectors.kafka.drivers import driver
from elworkers.devstack import Stack
from elworkers.devstack.stack import free_port
from elworkers.devstack.varnish import program as varnish_program

_PARENT_MIB, _WORKER_MIB, _MANY_MIB = 30, 120, 170
_FEW_SCHEMAS = 5
_AT_A_TIME = 200


@dataclass
class Role:
    """One pool to look at.

    Attributes:
        what: for the table.
        role, words: its command.
        work: gives it events, all at once; returns when it has done with them.
        environ: variables of its own.
    """

    what: str
    role: str
    words: Sequence[str]
    work: Callable[[], None]
    environ: dict[str, str] = field(default_factory=dict)


class _Site:
    """The servers, and what goes through them."""

    def __init__(self, stack: Stack, folder: Path, given: argparse.Namespace) -> None:
        stack.up("kafka", "mariadb", *(["varnish"] if varnish_program() else []))
        self._stack, self._folder, self._events = stack, folder, given.events
        self._scheme = f"kafka-{given.client}"
        self._env = stack.env()
        self._kafka = self._env["KAFKA"]
        self._admin = driver([self._kafka]).admin([self._kafka])
        self._sent = 0
        self._lines = RawLines(given.schemas, 800)
        self._lines.write_schemas(folder / "schemas")
        self._raw, self._valid, self._copies = (unique(f"memory-{what}") for what in ("raw", "valid", "copies"))
        for topic in (self._raw, self._valid, self._copies):
            self._admin.get_or_create(topic, 4)

    def roles(self) -> Iterator[Role]:
        """Every role; the later ones read what the processor has written."""
        schemas = {"EVENTLOGGING_SCHEMAS": str(self._folder / "schemas")}
        raw, valid = (f"{self._scheme}:///{self._kafka}?topic={topic}" for topic in (self._raw, self._valid))
        udp, web = free_port(), free_port()
        yield Role(
            "forwarder, udp", "forwarder", [f"udp://127.0.0.1:{udp}", self._sink()], lambda: self._datagrams(udp)
        )
        door = f"http://127.0.0.1:{web}/beacon/event"
        yield Role("forwarder, http", "forwarder", [door, self._sink()], lambda: self._requests(f"127.0.0.1:{web}"))
        if varnish_program():
            door = f"varnish:///{self._stack.folder}/varnish"
            address = self._env["VARNISH"]
            yield Role("forwarder, varnish", "forwarder", [door, self._sink()], lambda: self._requests(address))
        words = [
            FORMAT,
            f"{raw}&identity={self._raw}",
            valid,
            f"{self._scheme}:///{self._kafka}?topic=eventlogging_{{schema}}",
        ]
        yield Role("processor", "processor", words, lambda: self._produced(self._raw), schemas)
        for what, output in (
            ("consumer, mysql", self._env["MYSQL_URL"]),
            ("consumer, file", f"file://{self._folder}/out"),
        ):
            group = unique("memory")
            words = [f"{valid}&identity={group}", output, "--batch-seconds=1"]
            yield Role(what, "consumer", words, lambda group=group: self._read(self._valid, group), schemas)  # type: ignore[misc]
        words = [self._sink(), f"{raw}&identity=both", f"{valid}&identity=both"]
        yield Role("multiplexer", "multiplexer", words, lambda: self._read(self._valid, "both"))
        base = self._folder / "imported"
        words = [
            f"{self._scheme}:///{self._kafka}?topics={self._valid}",
            f"file://{base}",
            "--every=1",
            "--max-file-age=1",
        ]
        yield Role("importer", "importer", words, lambda: wait_for(lambda: list(base.rglob("*.json")), "a file"))
        config = self._folder / "config" / "consumers" / "one"
        config.parent.mkdir(parents=True)
        config.write_text(f"{valid}&identity={unique('memory')}\nstdout:\n", encoding="utf-8")
        yield Role("reporter", "reporter", [f"--config-dir={config.parents[1]}", "--interval=0.1"], lambda: None)

    def _sink(self) -> str:
        return f"{self._scheme}:///{self._kafka}?topic={self._copies}"

    def _produced(self, topic: str) -> None:
        self._lines.produce(self._kafka, topic, self._events)
        self._read(topic, topic)

    def _read(self, topic: str, group: str) -> None:
        ends = {partition: end for partition, end in self._admin.ends(topic).items() if end}
        wait_for(lambda: ends.items() <= self._admin.committed(group, topic).items(), f"{group} at {topic}")

    def _datagrams(self, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for line in self._lines.take(self._events):
                sender.sendto(line, ("127.0.0.1", port))
                self._copied()

    def _requests(self, address: str) -> None:
        connection = http.client.HTTPConnection(address)
        for line in self._lines.take(self._events // 10):
            connection.request("GET", "/beacon/event" + line.partition(b"\t")[0].decode())
            with contextlib.closing(connection.getresponse()) as answer:
                answer.read()
            self._copied()
        connection.close()

    def _copied(self) -> None:
        self._sent += 1
        if self._sent % _AT_A_TIME == 0:
            wait_for(lambda: sum(self._admin.ends(self._copies).values()) >= self._sent, "copies")


def _measure(given: argparse.Namespace) -> Sequence[Table]:
    table = Table("memory in MiB")
    with tempfile.TemporaryDirectory(prefix="elworkers-bench-") as scratch:
        site = _Site(Stack(given.stack), Path(scratch), given)
        for number, one in enumerate(site.roles()):
            run_dir = Path(scratch) / str(number)
            run_dir.mkdir()
            if given.role not in one.what:
                continue
            with Pool(one.role, one.words, run_dir, one.environ) as pool:
                pool.wait_at_work(1)
                at_rest = rss_mib(pool.workers()[0])
                one.work()
                _add(table, one.what, pool, at_rest, _MANY_MIB if given.schemas > _FEW_SCHEMAS else _WORKER_MIB)
    return [table]


def _add(table: Table, what: str, pool: Pool, at_rest: float, most: int) -> None:
    parent, worker = rss_mib(pool.parent), rss_mib(pool.workers()[0])
    table.ratios.append(Ratio(f"{what}: parent", parent, f"≤ {_PARENT_MIB}", parent <= _PARENT_MIB))
    table.ratios.append(Ratio(f"{what}: worker", worker, f"≤ {most}", worker <= most))
    shares = f"parent {pss_mib(pool.parent):.0f}, worker {pss_mib(pool.workers()[0]):.0f}"
    table.notes.append(f"{what}: worker at rest {at_rest:.0f}; shares: {shares}")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=40_000, help="of each role")
    parser.add_argument("--client", choices=("pykafka", "confluent"), default="pykafka", help="of Kafka")
    parser.add_argument("--schemas", type=int, default=5, help="of the events")
    parser.add_argument(
        "--role", default="", help="only roles whose name holds this; those that read need the processor"
    )


if __name__ == "__main__":
    sys.exit(command("memory", _measure, options=_options, rounds=1))
