# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns recorded lines into lines of today, each sent once and for the first time."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TIME = re.compile(rb"\t(\d+)\t(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\t")
_SERVER_TIME = re.compile(rb'"timestamp": (\d+)')
_SCHEMA = re.compile(rb"%22schema%22%3A%22([A-Za-z0-9_]+)%22|\"schema\": \"([A-Za-z0-9_]+)\"")


@dataclass(frozen=True)
class Sample:
    """What the demo sends.

    Attributes:
        lines: as varnishkafka writes them.
        datagrams: as MediaWiki sends them.
        sent: by the schema that is named in the raw text, `unknown` where none is.
        valid: how many of each schema are valid.
        invalid: how many are not, in all.
    """

    lines: list[bytes]
    datagrams: list[bytes]
    sent: Counter[str]
    valid: Counter[str]
    invalid: int


def read_sample(folder: Path) -> Sample:
    """Return the recorded lines, moved so that the last is of now, with sequence numbers never used before."""
    lines = gzip.decompress((folder / "client-side-lines.txt.gz").read_bytes()).splitlines()
    datagrams = gzip.decompress((folder / "server-side-lines.txt.gz").read_bytes()).splitlines()
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    valid: Counter[str] = Counter()
    invalid = 0
    for counts in expected.values():
        valid.update(counts["valid"])
        invalid += sum(counts["invalid"].values())
    sent = Counter(_schema(line) for line in (*lines, *datagrams))
    return Sample(_of_today(lines), _moved_datagrams(datagrams), sent, valid, invalid)


def _schema(line: bytes) -> str:
    found = _SCHEMA.findall(line)
    return b"".join(found[-1]).decode() if found else "unknown"


def _of_today(lines: list[bytes]) -> list[bytes]:
    times = [_unix(match[2]) for match in map(_TIME.search, lines) if match]
    shift = int(time.time()) - max(times)
    first = time.time_ns() // 1_000_000

    def moved(match: re.Match[bytes]) -> bytes:
        when = datetime.fromtimestamp(_unix(match[2]) + shift, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return b"\t%d\t%b\t" % (first + int(match[1]), when.encode())

    return [_TIME.sub(moved, line) for line in lines]


def _unix(text: bytes) -> int:
    return int(datetime.fromisoformat(text.decode()).replace(tzinfo=UTC).timestamp())


def _moved_datagrams(datagrams: list[bytes]) -> list[bytes]:
    # A forwarder that was started again counts from 0 again; with a time of its own each run is new all the same.
    times = [int(match[1]) for match in map(_SERVER_TIME.search, datagrams) if match]
    shift = int(time.time()) - max(times)
    moved: Callable[[re.Match[bytes]], bytes] = lambda match: b'"timestamp": %d' % (int(match[1]) + shift)  # noqa: E731
    return [_SERVER_TIME.sub(moved, datagram) for datagram in datagrams]
