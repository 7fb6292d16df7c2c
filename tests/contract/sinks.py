# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Numbers come in as records; what a sink has stored of them goes out: one harness for each `contracts.Sink`."""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymysql

from elworkers.config.uris import parse
from elworkers.connectors.file.sink import FileSink
from elworkers.connectors.kafka.route import Route
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.connectors.sql.sink import SqlSink
from elworkers.connectors.udp.sink import UdpSink
from elworkers.core.contracts import Record, Sink
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack


class SinkHarness:
    """Makes a sink, looks at what it has stored, and takes its far side away.

    Attributes:
        unwanted: a record that the store will never take, where there is such a thing.
    """

    unwanted: Record | None = None

    def __init__(self) -> None:
        self.cleanup = ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="elworkers-contract-")
        self.folder = Path(self.cleanup.enter_context(folder))

    def make(self) -> Sink:
        """A new sink into the same store."""
        raise NotImplementedError

    def record(self, number: int) -> Record:
        """A record that `stored` shows as this number."""
        return Record(b"%d" % number)

    def stored(self) -> list[int]:
        """What is in the store, in its order."""
        raise NotImplementedError

    def take_away(self) -> None:
        """Have the far side go."""
        raise NotImplementedError

    def bring_back(self) -> None:
        """Have it return, with what it had stored."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what was made."""
        self.cleanup.close()


class BytesHarness(SinkHarness):
    """A store of values as they are."""

    def values(self) -> list[bytes]:
        """What is in the store, in its order."""
        raise NotImplementedError

    def stored(self) -> list[int]:
        """The values as numbers."""
        return [int(value) for value in self.values()]


class File(BytesHarness):
    """A file in a folder that can be renamed away."""

    def __init__(self) -> None:
        super().__init__()
        (self.folder / "log").mkdir()
        self.path = self.folder / "log" / "events.log"

    def make(self) -> Sink:
        """Appends to the file."""
        return FileSink(self.path, fsync=True)

    def values(self) -> list[bytes]:
        """The file's lines."""
        content = self.path.read_bytes() if self.path.exists() else b""
        return content.split(b"\n")[:-1]

    def take_away(self) -> None:
        """Rename the folder."""
        self.path.parent.rename(self.folder / "away")

    def bring_back(self) -> None:
        """Rename it back."""
        (self.folder / "away").rename(self.path.parent)


class Stdout(BytesHarness):
    """A file in the place of standard output."""

    def __init__(self) -> None:
        super().__init__()
        self.path = self.folder / "printed"
        self.redirected = False

    def make(self) -> Sink:
        """Writes to standard output."""
        # Not before: pytest puts its own file there again between a fixture and the test.
        if not self.redirected:
            self.redirected = True
            kept = os.dup(1)
            printed = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(printed, 1)
            os.close(printed)
            self.cleanup.callback(os.close, kept)
            self.cleanup.callback(os.dup2, kept, 1)
        return FileSink(None)

    def values(self) -> list[bytes]:
        """The lines printed."""
        return self.path.read_bytes().split(b"\n")[:-1]


class Udp(BytesHarness):
    """A socket that receives."""

    unwanted = Record(b"x" * 65_508)

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self.received: list[bytes] = []
        self.bring_back()
        self.cleanup.callback(self.take_away)

    def make(self) -> Sink:
        """Sends to the socket."""
        return UdpSink("127.0.0.1", self.port)

    def values(self) -> list[bytes]:
        """The datagrams received; on the loopback interface they are there as soon as they were sent."""
        while True:
            try:
                self.received.append(self.receiver.recv(65_535))
            except BlockingIOError:
                return self.received

    def take_away(self) -> None:
        """Keep what the socket has received, and close it."""
        if self.receiver.fileno() >= 0:
            self.values()
            self.receiver.close()

    def bring_back(self) -> None:
        """Bind it again."""
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.receiver.bind(("127.0.0.1", self.port))
        self.receiver.setblocking(False)
        self.port = self.receiver.getsockname()[1]


class Kafka(BytesHarness):
    """A topic of one partition; the devstack's broker takes messages of up to 4 MiB, also after compression."""

    unwanted = Record(random.Random(0).randbytes(5 * 1024 * 1024))

    def __init__(self, stack: Stack, options: str = "") -> None:
        super().__init__()
        self.stack = stack
        stack.up("kafka")
        self.brokers = stack.env()["KAFKA"]
        self.topic = f"contract_{uuid.uuid4().hex}"
        self.options = check_sink(f"kafka:///{self.brokers}?topic={self.topic}&partitions=1{options}").options

    def make(self) -> Sink:
        """Produces to the topic."""
        return KafkaSink([self.brokers], self.options, Route(self.topic, None, None))

    def values(self) -> list[bytes]:
        """The topic read from its beginning to its end."""
        uri = f"kafka:///{self.brokers}?topic={self.topic}&partitions=1&fetch_message_max_bytes=8000000"
        source = KafkaSource([self.brokers], check_source(uri).options, f"reader-{uuid.uuid4().hex}", Counters())
        found: list[bytes] = []
        while records := source.poll(10_000, 1.0):
            found += [record.value for record in records]
        source.close()
        return found

    def take_away(self) -> None:
        """Kill the broker."""
        self.stack.kill("kafka")

    def bring_back(self) -> None:
        """Start it again."""
        self.stack.start("kafka")


class Sql(SinkHarness):
    """A table of one schema in a database."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.uri = uri
        self.schema = f"Contract{uuid.uuid4().hex[:12]}"
        self.table = f"{self.schema}_1"
        self.unwanted = self.record(2**70)

    def make(self) -> Sink:
        """Inserts into the database."""
        described: dict[str, Any] = {"properties": {"number": {"type": "integer"}}}
        return SqlSink(parse(self.uri), schemas=lambda _name, _revision: described, metrics=Counters())

    def record(self, number: int) -> Record:
        """An event whose only field is the number."""
        event = {
            "schema": self.schema,
            "revision": 1,
            "uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"{self.schema}/{number}").hex,
            "wiki": "testwiki",
            "webHost": "test.example.org",
            "recvFrom": "cp1.example.org",
            "timestamp": 1_469_795_696,
            "event": {"number": number},
        }
        return Record(b"", event=event)

    def stored(self) -> list[int]:
        """The numbers in the order in which they were inserted."""
        return [row[0] for row in self.rows(f"SELECT event_number FROM {self.table} ORDER BY id")]  # noqa: S608

    def rows(self, statement: str) -> Sequence[Any]:
        """What the database answers, nothing where the table is not there."""
        raise NotImplementedError


class Sqlite(Sql):
    """A SQLite database in a folder that can be renamed away."""

    def __init__(self) -> None:
        super().__init__("")
        (self.folder / "db").mkdir()
        self.path = self.folder / "db" / "events.db"
        self.uri = f"sqlite:///{self.path}"

    def rows(self, statement: str) -> Sequence[Any]:
        """See `Sql.rows`."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
        finally:
            connection.close()

    def take_away(self) -> None:
        """Rename the folder."""
        self.path.parent.rename(self.folder / "away")

    def bring_back(self) -> None:
        """Rename it back."""
        (self.folder / "away").rename(self.path.parent)


class Mariadb(Sql):
    """A MariaDB database."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.up("mariadb")
        super().__init__(stack.env()["MYSQL_URL"])
        self.cleanup.callback(self.rows, f"DROP TABLE IF EXISTS {self.table}")

    def rows(self, statement: str) -> Sequence[Any]:
        """See `Sql.rows`."""
        uri = parse(self.uri)
        host, port = uri.endpoint(3306)
        connection = pymysql.connect(
            host=host, port=port, user=uri.user, password=uri.password or "", database=uri.path[1:]
        )
        with connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except pymysql.err.ProgrammingError as error:
                if error.args[0] != pymysql.constants.ER.NO_SUCH_TABLE:
                    raise
                return []
            return cursor.fetchall()

    def take_away(self) -> None:
        """Kill the server."""
        self.stack.kill("mariadb")

    def bring_back(self) -> None:
        """Start it again."""
        self.stack.start("mariadb")
