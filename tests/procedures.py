# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs the commands of docs/procedures.md on hosts with a topology, and reads what tables and topics hold."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from load import Datagrams
from topology import BIN, ROOT, Topology, free_udp_port
from waiting import wait_for

from elworkers.config.uris import parse
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.sql import engine
from elworkers.devstack import Stack
from elworkers.devstack.fetch import Cache

PAGE = ROOT / "docs" / "procedures.md"
DEADLINE_S = 60.0
_TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


def sections() -> dict[str, list[str]]:
    """The page's sections by their titles, and the commands of each, block by block."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    blocks = re.compile(r"^```sh\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
    return {part.partition("\n")[0]: blocks.findall(part) for part in parts}


class Host(Topology):
    """A topology whose commands a shell runs as the page has them.

    Args:
        folder: of its configuration and its run folder.
        environment: of its instance files; they also get EVENTLOGGING_UDP.
        shell: variables of the shell.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], shell: Mapping[str, str]) -> None:
        self.port = free_udp_port()
        super().__init__(folder, {"EVENTLOGGING_UDP": f"127.0.0.1:{self.port}", **environment})
        self._shell = {
            **shell,
            "CONFIG": str(self.config_dir),
            "EVENTLOGGING_CONFIG_DIR": str(self.config_dir),
            "EVENTLOGGING_RUN_DIR": str(self.run_dir),
        }

    def run(self, commands: str, expect: int | None = 0, **variables: object) -> str:
        """Run commands with these variables; what they print. Fails when the exit code is not the expected one."""
        environment = {**os.environ, **self._shell, **{name: str(value) for name, value in variables.items()}}
        done = subprocess.run(
            ["bash", "-eu", "-c", commands],
            env=environment,
            cwd=self.run_dir.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert expect is None or done.returncode == expect, f"{commands}\n{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def versions(self) -> dict[str, str]:
        """Program → the version that it runs."""
        return {f"{said['role']}/{said['instance']}": said["version"] for said in self.states()}


def shell(folder: Path, stack: Stack, mariadb: str) -> dict[str, str]:
    """Variables of an operator's shell: PATH with the tools of the page, and a home from which `mariadb` logs in."""
    tools = folder / "tools"
    tools.mkdir()
    java = f"exec {Cache().java()} -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    for name, main in _TOOLS.items():
        home = stack.folder / "kafka"
        log = f"-Dlog4j.configuration=file:{home}/log4j.properties"
        (tools / name).write_text(f'#!/bin/sh\n{java} {log} -cp "{home}/jars/*" {main} "$@"\n', encoding="utf-8")
        (tools / name).chmod(0o755)
    uri = parse(mariadb)
    host, port = uri.endpoint(3306)
    login = {"host": host, "port": port, "protocol": "tcp", "user": uri.user, "password": uri.password, "ssl": "0"}
    lines = "".join(f"{name}={value}\n" for name, value in login.items())
    (folder / ".my.cnf").write_text(f"[client]\n{lines}", encoding="utf-8")
    path = [str(BIN), str(tools), str(Cache().mariadb() / "bin"), os.environ["PATH"]]
    return {"PATH": ":".join(path), "HOME": str(folder), "DATABASE": uri.path.strip("/")}


class Flow:
    """Events of MediaWiki from UDP by Kafka into a database and a file, on one host, with names of their own.

    Attributes:
        raw, mixed: the topics of lines and of valid events.
        group: of the consumer that stores rows.
    """

    def __init__(self, host: Host, kafka: str, mariadb: str, mark: str, schemas: Path) -> None:
        self.host, self.kafka, self.mark, self._schemas = host, kafka, mark, schemas
        self.raw, self.mixed, self.group = f"{mark}-server-side", f"{mark}-valid-mixed", f"mysql-{mark}"
        self._engine = engine.engine(parse(mariadb))
        broker = f"kafka:///{kafka}?"
        often = "auto_offset_reset=earliest&auto_commit_enable=True&auto_commit_interval_ms=300"
        files = {
            "forwarder/server-side-raw": [
                "udp://${env:EVENTLOGGING_UDP}",
                f"{broker}topic={self.raw}&partitions=2",
                "--count",
            ],
            "processor/server-side-0": [
                f"--sid={mark}",
                "%{seqId}d EventLogging %j",
                f"{broker}topic={self.raw}&partitions=2&auto_offset_reset=earliest",
                f"{broker}topic={mark}_{{schema}}",
                f"{broker}topic={self.mixed}&partitions=2&blacklist=^(VirtualPageView)$",
                "--output-invalid",
            ],
            "consumer/mysql-m4-master": [f"{broker}topic={self.mixed}&identity={self.group}&{often}", mariadb],
            "consumer/all-events.log": [
                f"{broker}topic={self.mixed}&identity=files-{mark}&{often}",
                f"file://{host.run_dir}/all-events.log",
            ],
        }
        for title, lines in files.items():
            host.instance(title, *lines).chmod(0o640)
        host.run("eventloggingctl start")

    def schema(self, name: str) -> str:
        """The name of another schema, with one integer."""
        path = self._schemas / f"{name}_{self.mark}" / "1.json"
        path.parent.mkdir()
        path.write_text('{"properties": {"a": {"type": "integer"}}}', encoding="utf-8")
        return path.parent.name

    def send(self, schema: str, numbers: Iterable[int], timestamp: int | None = None) -> None:
        """Send events."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in numbers:
                udp.sendto(line(schema, number, timestamp), ("127.0.0.1", self.host.port))

    def do(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self._engine.begin() as connection:
            found = connection.execute(sqlalchemy.text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    def numbers(self, schema: str) -> list[int]:
        """The numbers that its table holds, in order; none where there is no table."""
        with self._engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(f"{schema}_1"):
                return []
        return sorted(number for (number,) in self.do(f"SELECT event_a FROM {schema}_1"))  # noqa: S608 - a name of ours

    def stored(self, schema: str, numbers: Iterable[int]) -> None:
        """Wait until its table holds just these, each once."""
        wanted = list(numbers)
        wait_for(lambda: len(self.numbers(schema)) >= len(wanted), DEADLINE_S, f"{len(wanted)} rows of {schema}")
        assert self.numbers(schema) == wanted

    def count(self, topic: str) -> int:
        """How many messages a topic has."""
        return sum(self.ends(topic).values())

    def ends(self, topic: str) -> dict[int, int]:
        """Partition → how many messages it has."""
        with contextlib.closing(driver().admin([self.kafka])) as admin:
            return {one.partition: end for one, end in admin.ends(topic).items()}

    def count_partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(self.ends(topic))

    def shared(self, topic: str, processors: int, partitions: int) -> None:
        """Wait until so many instances have all partitions of a topic among them."""

        def done() -> bool:
            owned = self.host.owned(topic)
            each = sorted(partition for held in owned.values() for partition in held)
            return len(owned) == processors and all(owned.values()) and each == list(range(partitions))

        wait_for(done, DEADLINE_S, f"{partitions} partitions at {processors} instances: {self.host.owned(topic)}")


def line(schema: str, number: int, timestamp: int | None = None) -> bytes:
    """An event as MediaWiki sends it."""
    capsule = {"schema": schema, "revision": 1, "wiki": "w", "recvFrom": "mw1", "webHost": "h", "userAgent": "agent"}
    at = int(time.time()) if timestamp is None else timestamp
    return b"EventLogging " + json.dumps({**capsule, "timestamp": at, "event": {"a": number}}).encode()


class Load(Datagrams):
    """Events of one schema, to whichever port is meant at the time."""

    def __init__(self, port: int, schema: str) -> None:
        super().__init__(port)
        self._schema = schema

    def line(self, number: int) -> bytes:
        """See `Datagrams.line`."""
        return line(self._schema, number)

    def goes_on(self) -> None:
        """Wait for a second's worth."""
        at = self.sent
        wait_for(lambda: self.sent > at + 150, DEADLINE_S, "more load")


def link_libraries(folder: Path) -> None:
    """All that is installed here but this program."""
    folder.mkdir()
    for path in Path(pytest.__file__).parent.parent.iterdir():
        if "elworkers" not in path.name:
            (folder / path.name).symlink_to(path)
