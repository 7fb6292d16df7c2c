# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Outputs that refuse or wait, through the installed processor: the others get everything, once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import brokeradmin
from outputs import capsule, committed, count, fill, logged, schemas
from topology import BIN
from waiting import wait_for

DEADLINE_S = 90.0
EVENTS = 300


def test_an_output_that_waits_makes_the_others_repeat_nothing(
    kafka: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    raw, mixed, stuck, compact = (unique(name) for name in ("raw", "mixed", "stuck", "compact"))
    errors = unique("errors")
    brokeradmin.create_topic(kafka, compact, {"cleanup.policy": "compact"})
    fill(kafka, raw, [capsule("Sound", number) for number in range(EVENTS)])
    log, said = tmp_path / "events.log", tmp_path / "said"
    command = [
        BIN / "eventlogging-processor",
        "%j",
        f"kafka:///{kafka}?topic={raw}&identity={raw}&auto_offset_reset=earliest",
        f"kafka:///{kafka}?topic={mixed}",
        f"kafka:///{kafka}?topic={compact}",
        f"file://{log}",
        f"kafka:///{kafka}?topic={stuck}_{{schema}}&replication=3",
        f"--output-invalid=kafka:///{kafka}?topic={errors}",
        f"--schemas={schemas(tmp_path / 'schemas', 'Sound')}",
    ]
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        wait_for(lambda: count(kafka, mixed) >= EVENTS, DEADLINE_S, "the output that can be written")
        # Each try is a pipeline of its own, that joins the group anew and reads the batch again.
        wait_for(lambda: len(logged(said, "partitions assigned")) >= 4, DEADLINE_S, "three tries")
        assert (count(kafka, mixed), count(kafka, compact)) == (EVENTS, 0)
        brokeradmin.create_topic(kafka, f"{stuck}_Sound", {})
        wait_for(lambda: count(kafka, f"{stuck}_Sound") >= EVENTS, DEADLINE_S, "the one that could not")
        wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= EVENTS, DEADLINE_S, "the file")
        wait_for(lambda: committed(kafka, raw, raw) == EVENTS, DEADLINE_S, "the commit")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
    (done,) = logged(said, "worker done")
    assert count(kafka, mixed) == count(kafka, f"{stuck}_Sound") == EVENTS
    assert log.read_bytes().count(b"\n") == EVENTS
    assert done["events_valid"] == done["records_refused"] == EVENTS
    assert done["restarts"] >= 1


def test_names_that_meet_and_times_that_no_topic_takes_stop_nothing(
    kafka: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    raw, prefix, errors = unique("raw"), unique("out"), unique("errors")
    names = ["Foo.Bar", "Foo_Bar", "Foo/Bar", "Late"]
    brokeradmin.create_topic(kafka, f"{prefix}_Foo_Bar", {})
    brokeradmin.create_topic(kafka, f"{prefix}_Late", {"message.timestamp.after.max.ms": "3600000"})
    fill(kafka, raw, [capsule(name, number) for number in range(5) for name in names[:3]])
    fill(kafka, raw, [capsule("Late", 1)], timestamp_ms=4_102_444_800_000)
    fill(kafka, raw, [capsule("Late", 2)])
    said = tmp_path / "said"
    command = [
        BIN / "eventlogging-processor",
        "%j",
        f"kafka:///{kafka}?topic={raw}&identity={raw}&auto_offset_reset=earliest",
        f"kafka:///{kafka}?topic={prefix}_{{schema}}",
        f"--output-invalid=kafka:///{kafka}?topic={errors}",
        f"--schemas={schemas(tmp_path / 'schemas', *names)}",
    ]
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        wait_for(lambda: committed(kafka, raw, raw) == 17, DEADLINE_S, "the commit")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    (done,) = logged(said, "worker done")
    assert (count(kafka, f"{prefix}_Foo_Bar"), count(kafka, f"{prefix}_Late")) == (5, 1)
    assert (done["events_valid"], done["records_refused"]) == (17, 11)
    assert done.get("restarts", 0) == 0
