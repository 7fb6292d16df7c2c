# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Importers by the installed commands: single runs for cron, pools under supervisord, and servers that go away."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet
import pytest
from importing import by_folder, events, expected, hidden, lines, paths, produce
from topology import BIN, SCHEMAS, Topology
from waiting import wait_for

from elworkers.devstack import Stack

Unique = Callable[[str], str]
Make = Callable[..., Topology]
DEADLINE_S = 90.0


def importer(*words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [BIN / "eventlogging-importer", *words], capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_a_single_run_says_by_its_exit_code_whether_everything_is_there(
    kafka: str, webhdfs: str, unique: Unique, tmp_path: Path
) -> None:
    topic, base = f"eventlogging_{unique('Test')}", f"{webhdfs}/{unique('base')}"
    some = events(100)
    produce(kafka, topic, lines(some))
    given = ["--once", f"--staging-dir={tmp_path}", f"kafka:///{kafka}?topics={topic}"]
    done = importer(*given, base, "--max-run-minutes=0.0001", expect=75)
    assert "100 messages are not imported yet; the next run goes on there" in done.stderr
    # The two schemes mean the same.
    importer(*given, base.replace("webhdfs://", "hdfs://"))
    assert by_folder(base) == expected(topic.removeprefix("eventlogging_"), some)
    done = importer(*given, "webhdfs://u:secret@127.0.0.1:1/base", "--max-run-minutes=0.03", expect=75)
    assert "127.0.0.1:1/base: cannot list" in done.stderr
    assert "secret" not in done.stderr
    done = importer(
        "--once", f"--staging-dir={tmp_path}", "kafka:///127.0.0.1:1", base, "--max-run-minutes=0.03", expect=75
    )
    assert "no broker of 127.0.0.1:1 answers" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kafka:///k:9092?topic=a", "file:///b"], "kafka URI: unknown option 'topic'; did you mean 'topics'?"),
        (["kafka:///k:9092?topics=(", "file:///b"], "topics='('; expected a regular expression"),
        (["file:///a", "file:///b"], "no input of an importer has the scheme 'file'; expected one of kafka"),
        (["kafka:///k:9092", "hdsf://nn/b"], "no folder has the scheme 'hdsf'; did you mean 'hdfs'?"),
        (["kafka:///k:9092", "hdfs://nn:x/b"], "the port of 'nn'; expected a number from 1 to 65535"),
        (["kafka:///k:9092", "hdfs:///b"], "hdfs URI: no host; expected hdfs://NAMENODE:9870/PATH"),
        (["kafka:///k:9092", "hdfs://nn:9870"], "hdfs URI: no path; expected hdfs://NAMENODE:9870/PATH"),
        (["kafka:///k:9092", "hdfs://nn/b?kerberos=maybe"], "kerberos='maybe'; expected True or False"),
        (["kafka:///k:9092", "file:///b", "--every=0"], "--every '0'; expected a positive number of seconds"),
        (["kafka:///k:9092", "file:///b", "--max-run-minutes=x"], "expected a positive number of minutes"),
        (["kafka:///k:9092", "file:///b", "--format=csv"], "--format 'csv'; expected one of json, parquet"),
        (
            ["kafka:///k:9092", "file:///b", "--format=parquet", "--compression=gzip"],
            "--compression gzip; expected none or zstd with --format parquet",
        ),
        (["kafka:///k:9092"], "BASE is missing"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str) -> None:
    of_usage = any(word.startswith("--") for word in words[2:3]) or len(words) == 1
    done = importer(*words, expect=2 if of_usage and "--compression" not in said else 78)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_driver_that_is_not_installed_is_said(kafka: str, tmp_path: Path) -> None:
    done = importer(
        "--once", f"--staging-dir={tmp_path}", f"kafka:///{kafka}?topics=none", "s3://bucket/base", expect=78
    )
    assert "s3 URI: Install s3fs" in done.stderr


def test_parquet_files_have_the_columns_of_the_schema(kafka: str, webhdfs: str, unique: Unique, tmp_path: Path) -> None:
    topic, base = f"eventlogging_{unique('Test')}", f"{webhdfs}/{unique('base')}"
    some = events(40, schema="PaintTiming", revision=19000009, event={"name": "first-paint", "startTime": 7})
    produce(kafka, topic, lines(some))
    given = [f"--staging-dir={tmp_path}", f"--schemas={SCHEMAS}", f"kafka:///{kafka}?topics={topic}", base]
    importer("--once", "--format=parquet", "--compression=zstd", *given)
    files, root = fsspec.url_to_fs(base)
    found: dict[str, list[str]] = {}
    for path in paths(base):
        if path.endswith(".parquet"):
            table = pyarrow.parquet.read_table(io.BytesIO(files.cat_file(f"{root}/{path}")))
            assert set(table["event_name"].to_pylist()) == {"first-paint"}
            assert set(table["json"].to_pylist()) == {None}
            found.setdefault(path.rpartition("/")[0], []).extend(table["uuid"].to_pylist())
    assert {folder: sorted(uuids) for folder, uuids in found.items()} == expected(topic[13:], some)


def test_a_terminal_shows_how_far_a_single_run_is(kafka: str, unique: Unique, tmp_path: Path) -> None:
    topic = f"eventlogging_{unique('Test')}"
    produce(kafka, topic, lines(events(120)))
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [
        BIN / "eventlogging-importer",
        "--once",
        f"--staging-dir={tmp_path}/d",
        f"kafka:///{kafka}?topics={topic}",
    ]
    with subprocess.Popen([*command, f"file://{tmp_path}/base"], stderr=other, stdout=other) as process:
        os.close(other)
        shown = b""
        while chunk := _read(main):
            shown += chunk
        assert process.wait(DEADLINE_S) == 0
    os.close(main)
    assert "120/120" in shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # Linux says EIO where nobody has the other end open any more.
        return b""


def test_a_pool_goes_on_whatever_goes_away(own_stack: Stack, topology: Make, unique: Unique) -> None:
    own_stack.up("kafka", "hdfs")
    env = own_stack.env()
    kafka, base, name = env["KAFKA"], f"{env['WEBHDFS']}/{unique('base')}", unique("Test")
    site = topology({})
    site.instance(
        "importer/hdfs",
        f"kafka:///{kafka}?topics=eventlogging_{name}.*&blacklist=.*Unwanted",
        base,
        "--every=0.5",
        "--max-file-age=0.5",
        "--workers=3",
    )
    site.ctl("start")
    wanted: dict[str, list[str]] = {}

    def send(schema: str) -> None:
        some = events(60)
        produce(kafka, f"eventlogging_{schema}", lines(some))
        for folder, uuids in expected(schema, some).items():
            wanted[folder] = sorted(wanted.get(folder, []) + uuids)

    def arrived() -> bool:
        try:
            return by_folder(base) == wanted
        except (KeyError, OSError, RuntimeError):
            # Not to be read for now; or what fsspec gives for a file's content is what the DataNode says is wrong.
            return False

    produce(kafka, f"eventlogging_{name}Unwanted", lines(events(5)))
    for number in range(5):
        send(f"{name}{number}")
    wait_for(arrived, DEADLINE_S, "all topics are imported")
    wait_for(lambda: [_read_by(said) for said in site.states()] == [300], DEADLINE_S, "what the workers say they read")
    imported = [json.loads(line) for line in site.log("importer/hdfs").splitlines() if '"imported"' in line]
    assert sum(entry["records"] for entry in imported) == 300
    (said,) = site.states()
    assert sum(worker["pid"] is not None for worker in said["workers"]) == 3
    # More workers than the file says would have no topics.
    os.kill(said["pid"], signal.SIGTTIN)
    wait_for(lambda: "not scaled" in site.log("importer/hdfs"), DEADLINE_S, "scaling is refused")
    for worker in said["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
    send(f"{name}0")
    wait_for(arrived, DEADLINE_S, "workers come back")
    own_stack.kill("hdfs-datanode")
    send(f"{name}1")
    wait_for(lambda: "cannot write" in site.log("importer/hdfs"), DEADLINE_S, "the DataNode is missed")
    own_stack.start("hdfs-datanode")
    wait_for(arrived, DEADLINE_S, "the DataNode is back")
    own_stack.kill("hdfs")
    send(f"{name}2")
    wait_for(lambda: "cannot list" in site.log("importer/hdfs"), DEADLINE_S, "the NameNode is missed")
    own_stack.start("hdfs")
    wait_for(arrived, DEADLINE_S, "the NameNode is back")
    own_stack.kill("kafka")
    wait_for(lambda: "no broker of" in site.log("importer/hdfs"), DEADLINE_S, "the broker is missed")
    own_stack.start("kafka")
    send(f"{name}3")
    wait_for(arrived, DEADLINE_S, "the broker is back")
    _check_status(site, name)
    site.ctl("stop")
    assert hidden(base) == []
    assert arrived()
    assert {
        json.loads(line).get("event") for line in site.log("importer/hdfs").splitlines() if "crash" in line
    } == set()


def _check_status(site: Topology, name: str) -> None:
    shown = site.ctl("import", "status").stdout.splitlines()
    assert shown[0] == "importer/hdfs"
    rows = [line.split() for line in shown[2:]]
    assert [row[0] for row in rows] == [f"eventlogging_{name}{number}" for number in range(5)]
    assert [row[1:4] for row in rows] == [["120", "120", "0"]] * 4 + [["60", "60", "0"]]
    assert all(row[4].startswith(f"{name}{number}/") for number, row in enumerate(rows))


def _read_by(said: dict[str, Any]) -> int:
    return sum(worker["records"] for worker in said["workers"])


def test_status_says_what_is_not_imported_yet(kafka: str, topology: Make, unique: Unique, tmp_path: Path) -> None:
    name = unique("Test")
    site = topology({})
    assert "there is no importer" in site.ctl("import", "status", expect=78).stderr
    site.instance("importer/local", f"kafka:///{kafka}?topics=eventlogging_{name}", f"file://{tmp_path}/base")
    produce(kafka, f"eventlogging_{name}", lines(events(30, hours=1)))
    shown = site.ctl("import", "status", "local").stdout.splitlines()
    assert shown[2].split() == [f"eventlogging_{name}", "30", "0", "30", "-", "none"]
    assert not (tmp_path / "base").exists()
    importer("--once", f"@{site.config_dir}/importers/local", f"--staging-dir={tmp_path}/staging")
    shown = site.ctl("import", "status").stdout.splitlines()
    assert shown[2].split()[1:4] == ["30", "30", "0"]
    assert shown[2].split()[4] in paths(f"file://{tmp_path}/base")
    site.instance("importer/away", f"kafka:///{kafka}?topics=eventlogging_{name}", "hdfs://127.0.0.1:1/base")
    assert "127.0.0.1:1/base: cannot list" in site.ctl("import", "status", "away", expect=1).stderr


def test_status_says_since_when_a_topic_stands_still_whatever_process_finds_it(
    kafka: str, topology: Make, unique: Unique, tmp_path: Path
) -> None:
    name, base = unique("Test"), tmp_path / "base"
    site = topology({})
    site.instance("importer/local", f"kafka:///{kafka}?topics=eventlogging_{name}", f"file://{base}")
    run = ["--once", f"@{site.config_dir}/importers/local", f"--staging-dir={tmp_path}/staging"]
    produce(kafka, f"eventlogging_{name}", lines(events(30, hours=1)))
    base.mkdir()
    (base / name).write_text("")
    importer(*run, expect=75)
    note = base / "_importer" / "~standing" / f"eventlogging_{name}.json"
    shown = site.ctl("import", "status").stdout
    assert re.search(rf"stands still since 2\S+ \S+ UTC \(0:0\S+\): topic eventlogging_{name}: file:.*{name}", shown)
    # As if the first run was some time ago.
    told = json.loads(note.read_text())
    note.write_text(json.dumps({**told, "since": "2016-11-24T15:06:40Z"}))
    importer(*run, expect=75)
    assert "stands still since 2016-11-24 15:06:40 UTC (3" in site.ctl("import", "status").stdout
    (base / name).unlink()
    importer(*run)
    assert "stands still" not in site.ctl("import", "status").stdout
    assert by_folder(f"file://{base}")
    assert not note.exists()
