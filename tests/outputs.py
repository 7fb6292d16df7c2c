# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What tests of outputs share: events of any schema, and what topics, groups and logs say of them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record


def schemas(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name / "1.json"
        path.parent.mkdir(parents=True)
        path.write_text('{"properties": {"a": {"type": "integer"}}}', encoding="utf-8")
    return folder


def capsule(schema: str, number: int) -> bytes:
    event = {"schema": schema, "revision": 1, "wiki": "w", "recvFrom": "cp1", "webHost": "h", "seqId": number}
    return json.dumps({**event, "timestamp": 1_469_796_874, "event": {"a": number}}).encode()


def fill(kafka: str, topic: str, values: list[bytes], timestamp_ms: int = 0) -> None:
    options = check_sink(f"kafka:///{kafka}?topic={topic}&partitions=1").options
    sink = KafkaSink([kafka], options, lambda _: (topic, None))
    sink.write([Record(value, timestamp_ms=timestamp_ms) for value in values])
    assert sink.flush() == []
    sink.close()


def count(kafka: str, topic: str) -> int:
    with contextlib.closing(driver([kafka]).admin([kafka])) as admin:
        return sum(admin.ends(topic).values())


def committed(kafka: str, group: str, topic: str) -> int:
    with contextlib.closing(driver([kafka]).admin([kafka])) as admin:
        return sum(admin.committed(group, topic).values())


def values(kafka: str, topic: str, client: str = "") -> list[bytes]:
    """Every message of a topic, as a client reads it; only committed ones by the client `confluent`."""
    with contextlib.closing(driver([kafka], client).reader([kafka])) as reader:
        ranges = reader.ranges([one for one in reader.partitions() if one.topic == topic])
        return [value or b"" for fetched in reader.read(ranges) for _, _, _, value in fetched.messages]


def logged(path: Path, event: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]
