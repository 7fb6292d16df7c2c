# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes schema files, and raw lines of client-side events for them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record

FORMAT = "%q %{recvFrom}s %{seqId}d %t %o %u"

_VERSIONS = 40
_ITEM = "a tag of a page"
_A_BATCH = 100


class RawLines:
    """Valid lines, each with a sequence number of its own, in turns of all schemas.

    Args:
        schemas: how many.
        line_bytes: about how long a line is; a longer one has more items of the same kind, not longer ones.
        agents: how many user agents.

    Attributes:
        cycle: after so many lines each user agent has come with each schema.
    """

    def __init__(self, schemas: int, line_bytes: int, agents: int = _VERSIONS) -> None:
        self._agents = [
            b'"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.0'
            b' Safari/537.36"' % (80 + number % _VERSIONS, number // _VERSIONS)
            for number in range(agents)
        ]
        self._names = [f"Flat{number:04}" for number in range(schemas)]
        fixed = len(self._line(self._names[0], 0, 0))
        item = len(self._line(self._names[0], 1, 0)) - fixed
        self._parts = [self._line(name, max(1, (line_bytes - fixed) // item), None) for name in self._names]
        self._numbers = 0
        self.cycle = schemas * agents

    def _line(self, name: str, items: int, number: int | None) -> bytes:
        event = {"action": "click", "page": 1_234_567, "items": [_ITEM] * items}
        capsule = {"event": event, "revision": 1, "schema": name, "webHost": "en.wikipedia.org", "wiki": "enwiki"}
        query = quote(json.dumps(capsule, separators=(",", ":")))
        line = b"?%b;\tcp1066.eqiad.wmnet\tNUMBER\t2016-07-29T12:54:34\t-\tAGENT" % query.encode()
        return line if number is None else line.replace(b"NUMBER", b"%012d" % number).replace(b"AGENT", self._agents[0])

    def write_schemas(self, folder: Path) -> None:
        """One file a schema, as a processor's `EVENTLOGGING_SCHEMAS` has them."""
        properties = {
            "action": {"type": "string", "required": True, "enum": ["click", "hover"]},
            "page": {"type": "integer", "required": True},
            "items": {"type": "array", "items": {"type": "string"}},
        }
        for name in self._names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "1.json").write_text(json.dumps({"properties": properties}), encoding="utf-8")

    def take(self, count: int) -> Iterator[bytes]:
        """Yield the next lines."""
        for number in range(self._numbers, self._numbers + count):
            part = self._parts[number % len(self._parts)]
            agent = self._agents[number // len(self._parts) % len(self._agents)]
            yield part.replace(b"NUMBER", b"%012d" % number).replace(b"AGENT", agent)
        self._numbers += count

    def produce(self, kafka: str, topic: str, count: int) -> int:
        """Write the next lines to a topic, to its partitions in turn; gives the number of bytes."""
        sink = KafkaSink([kafka], check_sink(f"kafka:///{kafka}?topic={topic}").options, lambda _: (topic, None))
        size, now_ms = 0, int(time.time() * 1000)
        lines = self.take(count)
        for begin in range(0, count, _A_BATCH):
            batch = [Record(next(lines), timestamp_ms=now_ms) for _ in range(min(_A_BATCH, count - begin))]
            size += sum(len(record.value) for record in batch)
            sink.write(batch)
            sink.flush()
        sink.close()
        return size


def unique(name: str) -> str:
    """Return a topic's or group's name that no other run uses."""
    return f"{name}-{uuid.uuid4().hex[:10]}"
