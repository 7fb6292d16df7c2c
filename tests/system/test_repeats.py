# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A processor that is killed between a write and its commit: what its successor writes again counts as repeated."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from outputs import capsule, committed, count, fill, logged, schemas
from statsd import HOST, Statsd
from topology import BIN
from waiting import wait_for

DEADLINE_S = 90.0
VALID, INVALID = 800, 7


@contextmanager
def running(folder: Path, role: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The installed command with a run folder; its log is `said` in the folder, and goes on where it was."""
    environment = {**os.environ, "EVENTLOGGING_RUN_DIR": str(folder)}
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen([BIN / f"eventlogging-{role}", *arguments], env=environment, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


@pytest.mark.parametrize("whom", ["the worker", "its parent"])
def test_what_a_kill_makes_a_successor_write_again_counts_as_repeated(
    kafka: str, unique: Callable[[str], str], tmp_path: Path, whom: str
) -> None:
    own, statsd = unique("again"), Statsd()
    raw, valid, errors = f"{own}-raw", f"{own}_Sound", f"{own}-errors"
    # 80 kB: more than a pipe takes.
    lines = [capsule("Sound", number) for number in range(VALID)]
    fill(kafka, raw, [*lines, *(b"no event" for _ in range(INVALID))])
    for topic in (valid, errors):
        # So that the reporter sees how many messages come.
        fill(kafka, topic, [b"{}"])
    pipe = tmp_path / "out"
    os.mkfifo(pipe)
    arguments = [
        "%j",
        f"kafka:///{kafka}?topic={raw}&identity={raw}&auto_offset_reset=earliest&session_timeout_ms=2000",
        f"kafka:///{kafka}?topic={own}_{{schema}}",
        f"file://{pipe}",
        f"--output-invalid=kafka:///{kafka}?topic={errors}",
        f"--schemas={schemas(tmp_path / 'schemas', 'Sound')}",
    ]
    instance = tmp_path / "etc" / "processors" / "one"
    instance.parent.mkdir(parents=True)
    instance.write_text("".join(f"{argument}\n" for argument in arguments), encoding="utf-8")
    to = (f"--config-dir={instance.parent.parent}", f"--port={statsd.port}", "--interval=0.3")
    p = f"eventlogging.{HOST}"
    with ExitStack() as stack:
        stack.enter_context(running(tmp_path, "reporter", *to))
        wait_for(lambda: f"{p}.lag.{raw}.{raw}" in statsd.read().gauges, DEADLINE_S, "the reporter's first look")
        process = stack.enter_context(running(tmp_path, "processor", *arguments))
        # Both topics have everything; the file, which comes after them, waits for a reader.
        wait_for(lambda: count(kafka, valid) == 1 + VALID, DEADLINE_S, "the events")
        wait_for(lambda: count(kafka, errors) == 1 + INVALID, DEADLINE_S, "the EventErrors")
        wait_for(lambda: statsd.read().counters[f"{p}.overall.valid"] == VALID, DEADLINE_S, "the first count")
        (worker,) = psutil.Process(process.pid).children()
        pipe.rename(tmp_path / "nobody reads it")
        (worker if whom == "the worker" else process).send_signal(signal.SIGKILL)
        if whom == "its parent":
            psutil.wait_procs([worker], DEADLINE_S)
            process.wait(DEADLINE_S)
            process = stack.enter_context(running(tmp_path, "processor", *arguments))
        wait_for(lambda: committed(kafka, raw, raw) == VALID + INVALID, DEADLINE_S, "the commit")
        process.terminate()
        process.wait(DEADLINE_S)
        wanted = {
            "overall.valid": VALID,
            "schema.Sound.valid": VALID,
            "schema.Sound.repeated": VALID,
            "overall.invalid": INVALID,
            "schema.unknown.invalid": INVALID,
            "schema.unknown.repeated": INVALID,
            "overall.repeated": VALID + INVALID,
        }

        def counted() -> dict[str, int]:
            statsd.read()
            return {name: statsd.counters[f"{p}.{name}"] for name in wanted}

        wait_for(lambda: counted() == wanted, DEADLINE_S, f"the counts {wanted}")
        written = count(kafka, valid) + count(kafka, errors) - 2
        assert written == wanted["overall.valid"] + wanted["overall.invalid"] + wanted["overall.repeated"]
    (done,) = (entry for entry in logged(tmp_path / "said", "worker done") if entry["role"] == "processor")
    assert (done["events_valid"], done["events_invalid"]) == (VALID, INVALID)
    # The file may have had the events too; nobody can know.
    assert done["records_repeated"] == 2 * VALID + INVALID
