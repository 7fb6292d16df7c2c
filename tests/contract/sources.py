# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lines come in; a source that gives them goes out: one harness for each implementation of `contracts.Source`."""

from __future__ import annotations

import os
import socket
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elworkers.connectors.file.source import LinesSource
from elworkers.connectors.kafka.route import Route
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_sink, check_source
from elworkers.connectors.spool.source import SpooledSource
from elworkers.connectors.spool.spool import Spool
from elworkers.connectors.udp.listener import UdpListener
from elworkers.connectors.udp.source import UdpSource
from elworkers.core.contracts import Metrics, Record, Source
from elworkers.core.merged import MergedSource
from elworkers.core.metrics import Counters

LONGEST_LINE = 1024 * 1024


class SourceHarness:
    """Makes a source and gives it lines.

    Attributes:
        positions: its records have origin and offset.
        dense: the offset of a record is one more than that of the record before.
    """

    positions = False
    dense = True

    def __init__(self) -> None:
        self.metrics: Metrics = Counters()
        self.cleanup = ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="elworkers-contract-")
        self.folder = Path(self.cleanup.enter_context(folder))

    def make(self) -> Source:
        """A new source, which goes on where an earlier one's commits have ended."""
        raise NotImplementedError

    def feed(self, lines: Sequence[bytes]) -> None:
        """Have the source give these lines; may be called before and after `make`."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what was made."""
        self.cleanup.close()


class Udp(SourceHarness):
    """Datagrams over IPv4."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        super().__init__()
        self.source = UdpSource(self.host, 0, receive_buffer=4 * 1024 * 1024, metrics=Counters())
        self.cleanup.callback(self.source.close)

    def make(self) -> Source:
        """The one that was bound at the beginning, for what was sent is in its buffer."""
        return self.source

    def feed(self, lines: Sequence[bytes]) -> None:
        """One datagram a line."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line, self.source.address)


class Udp6(Udp):
    """Datagrams over IPv6."""

    host = "::1"


class Spooled(SourceHarness):
    """Datagrams that wait on disk; what is not committed is read again by the next."""

    positions = True
    dense = False

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[bytes] = []
        self.open: list[SpooledSource] = []
        self.address = ("", 0)
        self.cleanup.callback(lambda: [source.close() for source in self.open])

    def make(self) -> Source:
        """One that has the folder to itself."""
        for source in self.open:
            source.close()
        udp = UdpSource("127.0.0.1", 0, receive_buffer=4 * 1024 * 1024, metrics=Counters())
        self.address = udp.address
        made = SpooledSource(UdpListener(udp), Spool(self.folder / "spool", 10**9, segment_bytes=4096), self.metrics)
        self.open = [made]
        self.feed(self.waiting)
        self.waiting = []
        return made

    def feed(self, lines: Sequence[bytes]) -> None:
        """One datagram a line, as soon as there is somebody to take them."""
        if not self.open:
            self.waiting += lines
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line, self.address)


class File(SourceHarness):
    """A file that is followed."""

    def __init__(self) -> None:
        super().__init__()
        self.path = self.folder / "lines"
        self.path.touch()

    def make(self) -> Source:
        """Reads from the file's beginning."""
        return LinesSource(self.path, follow=True, max_line_bytes=LONGEST_LINE, metrics=self.metrics)

    def feed(self, lines: Sequence[bytes]) -> None:
        """Append to the file."""
        with self.path.open("ab") as file:
            file.writelines(line + b"\n" for line in lines)


class Stdin(SourceHarness):
    """A pipe in the place of standard input."""

    def __init__(self) -> None:
        super().__init__()
        kept = os.dup(0)
        reader, self.writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)
        self.cleanup.callback(os.close, self.writer)
        self.cleanup.callback(os.close, kept)
        self.cleanup.callback(os.dup2, kept, 0)

    def make(self) -> Source:
        """Reads standard input."""
        return LinesSource(None, follow=False, max_line_bytes=LONGEST_LINE, metrics=self.metrics)

    def feed(self, lines: Sequence[bytes]) -> None:
        """Write into the pipe; less than it holds (64 KiB), or this would wait for ever."""
        for line in lines:
            os.write(self.writer, line + b"\n")


class Kafka(SourceHarness):
    """A topic of two partitions, read by a group managed by Kafka; lines of a feed stay in one partition."""

    positions = True

    def __init__(self, brokers: str, zookeeper: str | None = None) -> None:
        super().__init__()
        self.brokers = brokers
        self.topic = f"contract_{uuid.uuid4().hex}"
        group = f"&zookeeper_connect={zookeeper}" if zookeeper else ""
        uri = f"kafka:///{brokers}?topic={self.topic}&partitions=2&identity=contract&session_timeout_ms=6000{group}"
        self.options: dict[str, Any] = dict(check_source(uri).options)

    def make(self) -> Source:
        """A member of the group, alone in it."""
        return KafkaSource([self.brokers], self.options, f"contract-{self.topic}", self.metrics)

    def feed(self, lines: Sequence[bytes]) -> None:
        """Produce with one key."""
        options = check_sink(f"kafka:///{self.brokers}?topic={self.topic}&partitions=2").options
        sink = KafkaSink([self.brokers], options, Route(self.topic, "one", None))
        sink.write([Record(line) for line in lines])
        assert sink.flush() == []
        sink.close()


class Merged(SourceHarness):
    """Two files, of which one stays empty, as one source."""

    def __init__(self) -> None:
        super().__init__()
        self.children = [File(), File()]
        for child in self.children:
            self.cleanup.callback(child.close)

    def make(self) -> Source:
        """Both files merged."""
        return MergedSource([child.make() for child in self.children])

    def feed(self, lines: Sequence[bytes]) -> None:
        """Append to the first file."""
        self.children[0].feed(lines)
