# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`make demo`'s own command, with both databases and both Kafkas, and the way back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from topology import BIN, ROOT, processes

from demo.listeners import CLICKS, chromium
from elworkers.devstack import varnish

DEADLINE_S = 280


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    folder.mkdir()
    yield folder
    demo(folder, "--down")


def demo(run_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", "--run-dir", str(run_dir), *words]
    # As `make demo KAFKA=4` has it: make passes its variables on.
    env = {**os.environ, "KAFKA": "4"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=DEADLINE_S)


def servers(run_dir: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ELWORKERS_DEVSTACK", "").startswith(str(run_dir)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize(("database", "kafka", "client"), [("mariadb", "3", "pykafka"), ("sqlite", "4", "confluent")])
def test_every_event_is_accounted_for(run_dir: Path, database: str, kafka: str, client: str) -> None:
    done = demo(run_dir, "--database", database, "--kafka", kafka)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (run_dir / "log" / "demo-sender.log").read_text(encoding="utf-8").splitlines()
    chosen = [line for line in log if '"kafka_client_chosen"' in line]
    assert json.loads(chosen[-1])["client"] == client
    counts = {
        match[1]: [int(number) for number in match[2].split()]
        for match in re.finditer(r"^(\S+(?: \(blacklisted\))?)((?: +\d+){6})$", done.stdout, re.MULTILINE)
    }
    sent, valid, invalid, rows, lines, records = counts.pop("all")
    clicks = CLICKS if chromium() else 0
    assert sent == 22_000 + clicks
    assert ("Varnish (" in done.stdout) == (varnish.program() is None)
    assert ("the browser (" in done.stdout) == (chromium() is None)
    assert valid + invalid == sent
    assert invalid >= sent / 51
    assert len([name for name in counts if name != "unknown"]) >= 6
    assert rows == lines
    assert records == sent
    assert counts.pop("EventError") == [0, 0, 0, 0, 0, invalid]
    blacklisted = counts.pop("VirtualPageView (blacklisted)")
    assert blacklisted[1] > 0
    assert blacklisted[3:] == [0, 0, blacklisted[1]]
    assert rows == valid - blacklisted[1]
    for numbers in counts.values():
        assert numbers[1] + numbers[2] == numbers[0]
        assert numbers[3] == numbers[4] == numbers[5] == numbers[1]
    assert f"The reporter has told statsd: raw {sent}, valid {valid}, invalid {invalid}." in done.stdout


def test_it_goes_on_running_until_it_is_ended(run_dir: Path) -> None:
    command = [BIN / "eventloggingctl", "--config-dir", str(run_dir / "eventlogging.d"), "--run-dir", str(run_dir)]
    status = subprocess.run([*command, "status"], capture_output=True, text=True, check=False, timeout=60)
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("RUNNING") == len(list((run_dir / "eventlogging.d").glob("*/[a-z]*")))
    assert servers(run_dir)
    assert demo(run_dir, "--down").returncode == 0
    assert not processes(str(run_dir))
    assert not [process for process in servers(run_dir) if process.status() != psutil.STATUS_ZOMBIE]


def test_what_is_missing_is_said() -> None:
    program = """
from collections import Counter
from demo.count import Comparison, Totals
totals = Totals(Counter(A=8, B=5), Counter(A=1), Counter(A=8), Counter(A=7), Counter(A=8, B=4, EventError=1))
print(*Comparison({"A": 10, "B": 5, "C": 1}).missing(totals, "B"), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "A: 10 were sent, but 8 valid and 1 invalid ones arrived",
        "A: 8 belong into the log file, but 7 are there",
        "B: 5 belong into HDFS, but 4 are there",
        "C: 1 were sent, but 0 valid and 0 invalid ones arrived",
    ]


def test_the_demo_says_so_when_a_part_cannot_be_had(tmp_path: Path) -> None:
    # A file where the cache's folder should be: nothing can be fetched.
    (tmp_path / "cache").write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "demo", "--run-dir", str(tmp_path / "run")]
    env = {**os.environ, "EVENTLOGGING_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert str(tmp_path / "cache") in done.stderr
    assert "Traceback" not in done.stderr
