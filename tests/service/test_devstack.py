# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-devstack` by its installed command, with real servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fsspec
import psutil
import pymysql
import pytest
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.devstack import Stack, asking, processes

COMMAND = str(BIN / "eventlogging-devstack")
DEADLINE_S = 120.0


def run(folder: Path, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "--dir", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert expect is None or done.returncode == expect, done.stdout + done.stderr
    return done


def env(folder: Path) -> dict[str, str]:
    """What a shell has after `eval`."""
    script = f'eval "$({COMMAND} env --dir "$1")"; echo "$KAFKA|$ZOOKEEPER|$MYSQL_URL"'
    done = subprocess.run(["sh", "-c", script, "sh", str(folder)], capture_output=True, text=True, check=True)
    return dict(zip(("KAFKA", "ZOOKEEPER", "MYSQL_URL"), done.stdout.strip().split("|"), strict=True))


def pids(folder: Path) -> set[int]:
    return {process.pid for process in processes.of(folder.absolute())}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack with all parts, in a folder whose name is long and has a blank in it."""
    made = tmp_path_factory.mktemp("stack") / ("a long name " * 9)
    run(made, "up", "kafka", "zookeeper", "mariadb")
    yield made
    run(made, "down")
    assert not pids(made)


def test_every_part_answers_when_up_returns(folder: Path) -> None:
    found = env(folder)
    assert driver().admin([found["KAFKA"]]).get_or_create("made", 3, 1) == (3, 1)
    host, _, port = found["ZOOKEEPER"].partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as asked:
        asked.sendall(b"srvr")
        assert b"Mode: standalone" in asked.recv(4096)
    login, _, place = found["MYSQL_URL"].removeprefix("mysql://").partition("@")
    host, _, port = place.partition("/")[0].partition(":")
    user, _, password = login.partition(":")
    with pymysql.connect(host=host, port=int(port), user=user, password=password, database="log") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT @@version, @@character_set_database")
        version, charset = cursor.fetchall()[0]
    assert version.startswith("1")
    assert charset == "utf8mb4"


def test_up_again_changes_nothing(folder: Path) -> None:
    before, addresses = pids(folder), env(folder)
    assert len(before) >= 3
    run(folder, "up", "kafka", "zookeeper", "mariadb")
    assert (pids(folder), env(folder)) == (before, addresses)
    status = run(folder, "status").stdout
    assert [line.split()[:2] for line in status.splitlines()] == [
        [part, "running"] for part in ("kafka", "zookeeper", "mariadb")
    ]


def test_a_killed_part_comes_back_on_its_port_with_its_data(folder: Path) -> None:
    addresses = env(folder)
    driver().admin([addresses["KAFKA"]]).get_or_create("kept", 2, 1)
    for process in processes.of(folder.absolute(), "kafka"):
        process.kill()
        process.wait(DEADLINE_S)
    assert run(folder, "status", expect=1).stdout.split()[:2] == ["kafka", "stopped"]
    run(folder, "up", "kafka")
    assert env(folder) == addresses
    assert "kept" in driver().admin([addresses["KAFKA"]]).topics()


def test_down_of_one_part_leaves_the_others(folder: Path) -> None:
    others = {process.pid for part in ("kafka", "mariadb") for process in processes.of(folder.absolute(), part)}
    run(folder, "down", "zookeeper")
    assert pids(folder) == others
    run(folder, "up", "zookeeper")


def test_hdfs_keeps_files_over_the_end_of_both_of_its_servers(tmp_path: Path) -> None:
    folder = tmp_path / "with blanks in its name"
    run(folder, "up", "hdfs")
    try:
        given = Stack(folder).env()["WEBHDFS"]
        files = fsspec.url_to_fs(f"{given}/kept")[0]
        files.pipe_file("/kept/here", b"content")
        assert {row.part for row in Stack(folder).status() if row.running} == {"hdfs", "hdfs-datanode"}
        run(folder, "down", "hdfs")
        assert not pids(folder)
        run(folder, "up", "hdfs")
        assert Stack(folder).env()["WEBHDFS"] == given
        assert files.cat_file("/kept/here") == b"content"
    finally:
        run(folder, "down")
    assert not pids(folder)


def test_two_stacks_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, "up", "zookeeper")
    try:
        assert env(tmp_path)["ZOOKEEPER"] != env(folder)["ZOOKEEPER"]
        assert not pids(tmp_path) & pids(folder)
    finally:
        assert run(tmp_path, "down").stdout == "1 processes ended\n"
    assert run(tmp_path, "down").stdout == "0 processes ended\n"
    assert run(folder, "status")


def test_a_port_that_was_asked_for(tmp_path: Path) -> None:
    port = free_port()
    run(tmp_path, "up", "zookeeper", "--port", f"zookeeper={port}")
    try:
        assert env(tmp_path)["ZOOKEEPER"] == f"127.0.0.1:{port}"
    finally:
        run(tmp_path, "down")


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(tmp_path, "up", "zookeeper", "--port", f"zookeeper={taken.getsockname()[1]}", expect=1)
    assert "zookeeper ended with exit code" in done.stderr
    assert "log/zookeeper.log" in done.stderr
    assert not pids(tmp_path)


def test_three_brokers_are_one_cluster(tmp_path: Path) -> None:
    run(tmp_path, "up", "--brokers", "3", "kafka44")
    try:
        places = Stack(tmp_path).env()
        assert [*places] == ["KAFKA44", "KAFKA44_2", "KAFKA44_3"]
        for place in places.values():
            host, _, port = place.partition(":")
            assert asking.cluster(host, int(port)).brokers == {1, 2, 3}
    finally:
        assert run(tmp_path, "down").stdout == "3 processes ended\n"


def test_a_kafka_4_that_does_not_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "kafka44" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n", encoding="utf-8")
    said = run(tmp_path, "up", "kafka44", expect=1).stderr
    assert "kafka44 ended with exit code 1 before it answered" in said
    assert "Stored node id 7 doesn't match previous node id 1" in said
    assert "\tat " not in said
    assert not pids(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_down_ends_what_a_command_that_was_ended_in_the_middle_has_started(tmp_path: Path, number: int) -> None:
    command = [COMMAND, "--dir", str(tmp_path), "up", "kafka"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
        wait_for(lambda: pids(tmp_path), DEADLINE_S, "the first process of the stack")
        started = list(pids(tmp_path))
        os.kill(starting.pid, number)
        starting.wait(DEADLINE_S)
    if number == signal.SIGKILL:
        run(tmp_path, "down")
    else:
        assert starting.returncode == 130
    assert not pids(tmp_path)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in started)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    assert (
        "there is no part 'kafak'; expected some of kafka, zookeeper, mariadb"
        in run(tmp_path, "up", "kafak", expect=1).stderr
    )
    assert (
        "expected NAME=PORT with NAME one of kafka"
        in run(tmp_path, "up", "kafka", "--port", "kafak=1", expect=2).stderr
    )
    assert (
        "kafka is no broker of this stack; expected some of none" in run(tmp_path, "upgrade", "kafka", expect=1).stderr
    )
    assert run(tmp_path, "status", expect=1).stdout == ""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", encoding="utf-8")
    done = run(in_the_way, "up", "zookeeper", expect=1)
    assert str(in_the_way) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["up"], ["upgrade"], ["down"], ["env"], ["status"]])
def test_help(words: list[str]) -> None:
    done = subprocess.run([COMMAND, *words, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--dir" in done.stdout
