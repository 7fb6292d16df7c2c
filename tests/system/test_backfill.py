# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Raw log files, and stretches of topics, come into a store by the installed command: all of it, each event once."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from databases import Place
from outputs import capsule, count, fill, logged, schemas, values
from topology import BIN
from waiting import wait_for

DEADLINE_S = 120.0
TOO_LONG_S = 3_600_000
Unique = Callable[[str], str]


class Backfill:
    """The command line of one backfill."""

    def __init__(self, folder: Path, output: str, *inputs: object, name: str) -> None:
        self.said = folder / "said"
        store = folder / "schemas"
        if not store.exists():
            schemas(store, name)
        self.command = [BIN / "eventlogging-backfill", "%j", *map(str, inputs), output, f"--schemas={store}"]

    def run(self, *more: str, expect: int) -> str:
        """Run it to its end; gives what it printed."""
        with self.said.open("w", encoding="utf-8") as said:
            done = subprocess.run(
                [*self.command, *more], stdout=subprocess.PIPE, stderr=said, check=False, timeout=DEADLINE_S
            )
        assert done.returncode == expect, self.said.read_text(encoding="utf-8")
        return done.stdout.decode()

    def kill(self, state: Path, *more: str) -> None:
        """Run it, and kill it when it has done something."""
        with self.said.open("w", encoding="utf-8") as said:
            process = subprocess.Popen([*self.command, *more], stderr=said)
        try:
            wait_for(lambda: process.poll() is not None or done(state) > 0, DEADLINE_S, "something done")
            assert process.poll() is None, self.said.read_text(encoding="utf-8")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)

    def summary(self) -> dict[str, Any]:
        (found,) = logged(self.said, "the input has ended")
        wanted = ("records_read", "stored", "there_already", "refused", "refused_to")
        return {name: found[name] for name in wanted if name in found}


def done(state: Path) -> int:
    """How many records a state file says are done with."""
    if not state.exists():
        return 0
    return sum(json.loads(state.read_text(encoding="utf-8"))["counts"].values())


def written(path: Path, lines: Sequence[bytes]) -> Path:
    content = b"\n".join([*lines, b""])
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def rows_of(text: str) -> dict[str, list[str]]:
    """The numbers of a preview, by schema."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:-2]}


def test_a_day_of_files_is_looked_at_stored_and_never_stored_again(
    mariadb: str, unique: Unique, tmp_path: Path
) -> None:
    name = unique("Backfill")
    good = [capsule(name, number) for number in range(300)]
    bad = [b'{"schema": "%s"}' % name.encode(), b"no event"]
    first = written(tmp_path / "a day.log.gz", [*good[:200], bad[0]])
    second = written(tmp_path / "b.log", [bad[1], *good[200:], good[0]])
    job = Backfill(tmp_path, mariadb, first, f"file://{second}", name=name)
    before = sorted(tmp_path.iterdir())
    assert rows_of(job.run("--dry-run", expect=0)) == {name: ["1", "301", "0", "1", "300"]}
    # Nothing was made, and no table either.
    assert set(tmp_path.iterdir()) - set(before) <= {job.said}
    job.run(expect=65)
    place = Place(mariadb, name)
    assert len(place.rows("uuid")) == 300
    rejected = [Path(f"{path}.rejected") for path in (first, second)]
    assert job.summary() == {
        "records_read": 303,
        "stored": 300,
        "there_already": 1,
        "refused": 2,
        "refused_to": ", ".join(f"file://{path}" for path in rejected),
    }
    told = [json.loads(path.read_text(encoding="utf-8")) for path in rejected]
    assert [one["event"]["rawEvent"].encode() for one in told] == bad
    text = job.run("--dry-run", expect=0)
    assert rows_of(text) == {name: ["1", "301", "301", "0", "0"]}
    assert "lines that are no valid events: 2 (1 processor, 1 validation)" in text
    # The state says that all is done; without it, the database has everything.
    job.run(expect=65)
    assert (tmp_path / "a day.log.gz.backfill").exists()
    job.run("--again", expect=65)
    assert job.summary()["there_already"] == 301
    assert len(place.rows("uuid")) == 300
    place.close()


@pytest.mark.parametrize("output", ["mariadb", "file", "kafka"])
def test_what_is_killed_and_started_again_loses_nothing_and_doubles_nothing(
    request: pytest.FixtureRequest, unique: Unique, tmp_path: Path, output: str
) -> None:
    name = unique("Backfill")
    lines = [b"torn %d" % number if number % 100 == 7 else capsule(name, number) for number in range(12_000)]
    inputs = [written(tmp_path / "1.log.gz", lines[:7_000]), written(tmp_path / "2.log", lines[7_000:])]
    file, topic = tmp_path / "events.out", unique("out")
    if output == "mariadb":
        uri = request.getfixturevalue("mariadb")
    elif output == "kafka":
        broker = request.getfixturevalue("kafka")
        uri = f"kafka:///{broker}?topic={topic}_{{schema}}"
    else:
        uri = f"file://{file}"
    job = Backfill(tmp_path, uri, *inputs, name=name)
    job.command.append(f"--output-invalid=file://{tmp_path}/refused") if output == "kafka" else None
    state = tmp_path / "state"
    for _ in range(3):
        # It goes on behind what it has done, so that each of them gets further.
        before = done(state)
        with job.said.open("w", encoding="utf-8") as said:
            process = subprocess.Popen([*job.command, f"--state={state}", "--batch-size=20"], stderr=said)
        try:
            wait_for(lambda: process.poll() is not None or done(state) > before, DEADLINE_S, "more done")  # noqa: B023
        finally:
            process.kill()
            process.wait(DEADLINE_S)
    assert 0 < done(state) < 12_000
    job.run(f"--state={state}", expect=65)
    if output == "mariadb":
        place = Place(uri, name)
        stored = [row["uuid"] for row in place.rows("uuid")]
        place.close()
    elif output == "kafka":
        stored = [json.loads(value)["uuid"] for value in values(broker, f"{topic}_{name}")]
    else:
        stored = [json.loads(line)["uuid"] for line in file.read_bytes().splitlines()]
    assert len(stored) == len(set(stored)) == 11_880
    beside = [Path(f"{path}.rejected") for path in inputs] if output != "kafka" else [tmp_path / "refused"]
    rejected = b"".join(path.read_bytes() for path in beside)
    raw = [json.loads(line)["event"]["rawEvent"] for line in rejected.splitlines()]
    assert Counter(raw) == Counter(line.decode() for line in lines if line.startswith(b"torn"))
    found = job.summary()
    assert (found["records_read"], found["refused"]) == (12_000, 120)
    assert found["stored"] + found.get("there_already", 0) == 11_880


def test_what_it_leaves_beside_its_inputs_is_no_input(unique: Unique, tmp_path: Path) -> None:
    name, folder = unique("Backfill"), tmp_path / "logs"
    folder.mkdir()
    for number in range(2):
        written(folder / f"events.log-{number}", [capsule(name, number), b"torn"])
    for _ in range(2):
        # As a shell does it.
        found = sorted(folder.glob("events.log*"))
        Backfill(tmp_path, f"file://{tmp_path}/out", *found, name=name).run(expect=65)
    assert [path.name for path in found] == [
        "events.log-0",
        "events.log-0.backfill",
        "events.log-0.rejected",
        "events.log-1",
        "events.log-1.rejected",
    ]
    assert len((tmp_path / "out").read_bytes().splitlines()) == 2


def test_a_file_that_has_grown_goes_on_and_another_of_its_name_begins(unique: Unique, tmp_path: Path) -> None:
    name = unique("Backfill")
    out, path = tmp_path / "out", written(tmp_path / "events.log", [capsule(name, 1), capsule(name, 2)])
    job = Backfill(tmp_path, f"file://{out}", path, name=name)
    job.run(expect=0)
    job.run(expect=0)
    with path.open("ab") as file:
        file.write(capsule(name, 3) + b"\n")
    job.run(expect=0)
    assert len(out.read_bytes().splitlines()) == 3
    written(path, [capsule(name, number) for number in range(10, 14)])
    job.run(expect=0)
    assert sorted(json.loads(line)["seqId"] for line in out.read_bytes().splitlines()) == [1, 2, 3, 10, 11, 12, 13]


def test_a_stretch_of_a_topic_comes_into_the_database(kafka: str, mariadb: str, unique: Unique, tmp_path: Path) -> None:
    name, topic = unique("Backfill"), unique("raw")
    hour_ms, now_ms = 3_600_000, int(time.time() * 1000)
    for hour in range(4):
        lines = [capsule(name, 100 * hour + number) for number in range(10)]
        fill(kafka, topic, lines, timestamp_ms=now_ms - (4 - hour) * hour_ms)
    uri = f"kafka:///{kafka}?topic={topic}"
    begin, end = (str((now_ms - hours * hour_ms - 60_000) // 1000) for hours in (3, 1))
    job = Backfill(tmp_path, mariadb, uri, name=name)
    words = [f"--from={begin}", f"--to={end}", f"--state={tmp_path}/state"]
    assert rows_of(job.run("--dry-run", *words, expect=0)) == {name: ["1", "20", "0", "0", "20"]}
    job.run(*words, expect=0)
    assert job.summary() == {"records_read": 20, "stored": 20, "refused": 0}
    place = Place(mariadb, name)
    assert len(place.rows("uuid")) == 20
    job.run(*words, expect=0)
    assert logged(job.said, "the backfill goes on")
    # All that is there, into the same table; what nobody can read as an event goes to the topic of EventErrors.
    fill(kafka, topic, [b"torn"])
    before = count(kafka, "eventlogging_EventError")
    job.run(f"--state={tmp_path}/all", expect=65)
    assert job.summary()["records_read"] == 41
    assert len(place.rows("uuid")) == 40
    assert count(kafka, "eventlogging_EventError") == before + 1
    place.close()


def test_a_topic_goes_on_where_it_was_killed(kafka: str, unique: Unique, tmp_path: Path) -> None:
    name, topic, out = unique("Backfill"), unique("raw"), tmp_path / "out"
    fill(kafka, topic, [capsule(name, number) for number in range(10_000)])
    job = Backfill(tmp_path, f"file://{out}", f"kafka:///{kafka}?topic={topic}", name=name)
    state = tmp_path / "state"
    job.kill(state, f"--state={state}", "--batch-size=20")
    assert 0 < done(state) < 10_000
    job.run(f"--state={state}", expect=0)
    found = Counter(json.loads(line)["seqId"] for line in out.read_bytes().splitlines())
    assert found == Counter(range(10_000))


def test_an_interrupted_one_says_so_and_one_state_is_for_one_backfill(unique: Unique, tmp_path: Path) -> None:
    name = unique("Backfill")
    path = written(tmp_path / "events.log", [capsule(name, number) for number in range(30_000)])
    job = Backfill(tmp_path, f"sqlite:///{tmp_path}/events.db", path, name=name)
    with job.said.open("w", encoding="utf-8") as said:
        process = subprocess.Popen([*job.command, "--batch-size=100"], stderr=said)
    state = tmp_path / "events.log.backfill"
    wait_for(lambda: done(state) > 0, DEADLINE_S, "something done")
    second = subprocess.run(job.command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 75
    assert (second.returncode, len(second.stderr.splitlines())) == (78, 1)
    assert f"state file {state}: is in use by another backfill" in second.stderr
    other = Backfill(tmp_path, f"sqlite:///{tmp_path}/other.db", path, name=name)
    other.run(expect=78)
    why = f"is of another backfill, whose output is sqlite://{tmp_path}/events.db, not sqlite://{tmp_path}/other.db"
    assert why.replace("sqlite://", "sqlite:///") in other.said.read_text(encoding="utf-8")
    job.run(expect=0)
    assert job.summary() == {"records_read": 30_000, "stored": 30_000, "refused": 0}


def test_a_damaged_file_is_named_and_the_others_are_stored(unique: Unique, tmp_path: Path) -> None:
    name = unique("Backfill")
    packed = gzip.compress(b"\n".join(capsule(name, number) for number in range(2_000)))
    (tmp_path / "1.gz").write_bytes(packed[: len(packed) // 2])
    second = written(tmp_path / "2.log", [capsule(name, 5_000)])
    out = tmp_path / "out"
    job = Backfill(tmp_path, f"file://{out}", tmp_path / "1.gz", second, name=name)
    job.run(expect=65)
    (ended,) = logged(job.said, "the input has ended, but not all of it is stored")
    assert f"file {tmp_path}/1.gz: the gzip data breaks off at the end of the file" in ended["reason"]
    assert json.loads(out.read_bytes().splitlines()[-1])["seqId"] == 5_000
    # The whole file, where it was before, goes on where that one broke off.
    (tmp_path / "1.gz").write_bytes(packed)
    job.run(expect=0)
    assert sorted(json.loads(line)["seqId"] for line in out.read_bytes().splitlines()) == [*range(2_000), 5_000]


def test_a_terminal_shows_how_far_it_is(unique: Unique, tmp_path: Path) -> None:
    name = unique("Backfill")
    path = written(tmp_path / "events.log", [capsule(name, number) for number in range(3_000)])
    job = Backfill(tmp_path, f"file://{tmp_path}/out", path, name=name)
    main, other = pty.openpty()
    with subprocess.Popen(job.command, stderr=other, stdout=other) as process:
        os.close(other)
        shown = b""
        while chunk := _read(main):
            shown += chunk
        assert process.wait(DEADLINE_S) == 0
    os.close(main)
    assert "backfilling" in shown.decode()
    assert "kB" in shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["%j", "/no/such.log", "stdout:"], "INPUT /no/such.log: does not exist; expected log files"),
        (["%j", "/", "stdout:"], "INPUT /: is not a file; expected log files"),
        (
            ["%j", "stdin:", "stdout:"],
            "stdin URI: cannot be continued after an interruption; expected files or a topic",
        ),
        (["%j", "/etc/passwd", "/etc/passwd", "stdout:"], "INPUT: /etc/passwd is given twice"),
        (["%j", "/etc/passwd", "kafka:///k:1?topic=t", "stdout:"], "INPUT: files and topics; expected one of the two"),
        (["%j", "file:///etc/passwd?follow=True", "stdout:"], "file URI: option follow; expected files without"),
        (["%j", "/etc/passwd", "stdout:", "--from=2016-01-01"], "--from and --to are only for topics"),
        (
            ["%j", "kafka:///k:1?topic=t", "stdout:", "--to=noon"],
            "--to 'noon'; expected a time as 2016-07-29T12:00:00Z",
        ),
        (["%z", "/etc/passwd", "stdout:"], "format '%z'"),
        (["%j", "/etc/passwd", "mysql://u:hunter2@h/db?x=1"], "mysql URI: unknown option 'x'"),
        (["%j", "/etc/passwd", "stdout:", "--output-invalid=sqlite:///db"], "expected a Kafka topic or a file"),
        (["%j", "/etc/passwd", "stdout:", "--state=/proc/x"], "state file /proc/x: cannot be written there"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(words: list[str], said: str) -> None:
    command = [BIN / "eventlogging-backfill", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == (2 if words[-1] == "--to=noon" else 78)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_it_explains_itself_with_examples() -> None:
    done = subprocess.run([BIN / "eventlogging-backfill", "--help"], capture_output=True, text=True, check=True)
    assert "usage: eventlogging-backfill FORMAT INPUT… OUTPUT" in done.stdout
    assert "--dry-run" in done.stdout
    assert "examples:" in done.stdout
