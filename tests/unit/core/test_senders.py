# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The senders of docs/clients.md, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from topology import SCHEMAS
from waiting import wait_for

from elworkers.connectors.udp.source import UdpSource
from elworkers.core.budget import Budget
from elworkers.core.metrics import Counters
from elworkers.events.parse import compile_format
from elworkers.schema.store import SchemaStore
from elworkers.schema.validate import Validator
from elworkers.stages.process import ProcessStage

PAGE = (Path(__file__).parents[3] / "docs" / "clients.md").read_text(encoding="utf-8")


@pytest.fixture
def udp() -> Iterator[UdpSource]:
    made = UdpSource("127.0.0.1", 0, receive_buffer=100_000, metrics=Counters())
    yield made
    made.close()


def snippet(language: str, port: int) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert code.count("8421") == 1
    return str(code).replace("8421", str(port))


def is_valid(udp: UdpSource) -> bool:
    stage = ProcessStage(
        compile_format("EventLogging %j"), Validator(SchemaStore([str(SCHEMAS)])), Counters(), Budget(60)
    )
    (done,) = stage(wait_for(lambda: udp.poll(10, 0.1), 30, "the datagram"))
    assert done.valid, done.value
    return (done.event or {})["event"] == {"saveTiming": 120}


def test_php(udp: UdpSource, php: str) -> None:
    code = snippet("php", udp.address[1])
    assert len(code.splitlines()) == 3
    subprocess.run([php, "-r", code], check=True, timeout=60)
    assert is_valid(udp)


def test_python(udp: UdpSource) -> None:
    subprocess.run([sys.executable, "-c", snippet("python", udp.address[1])], check=True, timeout=60)
    assert is_valid(udp)
