# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The pool parent by its installed command: titles, replaced workers, draining, and nobody left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from topology import BIN, free_udp_port
from waiting import wait_for

DEADLINE_S = 20.0
PARENT_MIB, WORKER_MIB = 30, 120
KAFKA = "kafka:///127.0.0.1:1?topic=t"
ROLES = {
    "forwarder": [f"udp://127.0.0.1:{free_udp_port()}", KAFKA],
    "processor": ["%q", f"{KAFKA}&identity=g", KAFKA],
    "multiplexer": [KAFKA, f"{KAFKA}&identity=g"],
    "consumer": [f"{KAFKA}&identity=g", "mysql://u:p@127.0.0.1:1/log"],
    "importer": ["kafka:///127.0.0.1:1", "hdfs://127.0.0.1:1/events"],
    "reporter": [],
}
"""Of each role, what waits for a server that is away."""


class Pool:
    """`eventlogging-forwarder` from a UDP port to a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_udp_port()
        self.out = folder / "out.log"
        self.log = folder / "pool.log"
        instance = folder / "server-side-raw"
        instance.write_text(f"udp://127.0.0.1:{self.port}\nfile://{self.out}\n", encoding="utf-8")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BIN / "eventlogging-forwarder", f"@{instance}", *options],
                stderr=log,
                env={**os.environ, "EVENTLOGGING_RUN_DIR": str(folder)},
            )

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def worker(self) -> psutil.Process:
        return wait_for(self.workers, DEADLINE_S, "a worker")[0]

    def titles(self) -> list[str]:
        found = [psutil.Process(self.process.pid), *self.workers()]
        # What the title does not fill of the first command line is NUL bytes.
        return [" ".join(process.cmdline()).rstrip() for process in found]

    def send(self, text: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(text.encode(), ("127.0.0.1", self.port))

    def arrived(self, text: str) -> bool:
        """Send until it has arrived: before the port is bound a datagram is lost."""
        self.send(text)
        return self.out.exists() and text in self.out.read_text(encoding="utf-8")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    made = Pool(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait(DEADLINE_S)


def test_titles_name_role_instance_and_worker(pool: Pool) -> None:
    wanted = ["eventlogging-forwarder server-side-raw [parent]", "eventlogging-forwarder server-side-raw [worker 0]"]
    wait_for(lambda: pool.titles() == wanted, DEADLINE_S, f"titles {wanted}")


def test_a_dead_worker_is_replaced_and_works_on(pool: Pool) -> None:
    wait_for(lambda: pool.arrived("before"), DEADLINE_S, "the first line")
    first = pool.worker()
    first.kill()
    wait_for(lambda: pool.workers() and pool.worker().pid != first.pid, DEADLINE_S, "another worker")
    wait_for(lambda: pool.arrived("after"), DEADLINE_S, "a line through the new worker")
    assert "signal SIGKILL" in pool.log.read_text(encoding="utf-8")


def test_no_worker_outlives_its_parent(pool: Pool) -> None:
    worker = pool.worker()
    pool.process.kill()
    pool.process.wait(DEADLINE_S)
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, DEADLINE_S, "its end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_what_was_received(pool: Pool, number: signal.Signals) -> None:
    wait_for(lambda: pool.arrived("first"), DEADLINE_S, "the first line")
    pool.worker().suspend()
    pool.send("waits in the socket")
    pool.process.send_signal(number)
    pool.worker().resume()
    assert pool.process.wait(DEADLINE_S) == 0
    assert "waits in the socket" in pool.out.read_text(encoding="utf-8")


def test_a_worker_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    pool = Pool(tmp_path, "--stop-timeout=0.5")
    wait_for(lambda: pool.arrived("first"), DEADLINE_S, "the first line")
    pool.worker().suspend()
    pool.process.terminate()
    assert pool.process.wait(DEADLINE_S) == 0
    assert "did not stop in time" in pool.log.read_text(encoding="utf-8")


def test_the_number_of_workers_follows_ttin_and_ttou(tmp_path: Path, kafka: str) -> None:
    command = [BIN / "eventlogging-consumer", "--workers=2", "--name=scaled"]
    command += [f"kafka:///{kafka}?topic=scaled&raw=True&identity=scaled&session_timeout_ms=6000", "stdout:"]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        count = lambda: len(psutil.Process(parent.pid).children())  # noqa: E731
        wait_for(lambda: count() == 2, DEADLINE_S, "two workers")
        parent.send_signal(signal.SIGTTIN)
        wait_for(lambda: count() == 3, DEADLINE_S, "three workers")
        parent.send_signal(signal.SIGTTOU)
        wait_for(lambda: count() == 2, DEADLINE_S, "two workers again")
        parent.terminate()
        assert parent.wait(DEADLINE_S + 30) == 0
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


def test_hup_replaces_workers_one_after_another_and_the_group_goes_on(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    topic, log = unique("replaced"), tmp_path / "log"
    source = f"kafka:///{kafka}?topic={topic}&raw=True&identity={topic}&session_timeout_ms=6000&partitions=4"
    command = [BIN / "eventlogging-consumer", "--workers=2", f"--name={topic}", source, "stdout:"]
    with log.open("wb") as stderr:
        parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        workers = lambda: {child.pid for child in psutil.Process(parent.pid).children()}  # noqa: E731
        said = lambda: log.read_text(encoding="utf-8")  # noqa: E731
        wait_for(lambda: said().count("partitions assigned") >= 2, DEADLINE_S, "two members")
        before = wait_for(lambda: len(workers()) == 2 and workers(), DEADLINE_S, "two workers")
        fewest, most = [2], [2]

        def replaced() -> bool:
            fewest.append(len(workers()))
            most.append(len(workers()))
            return "workers replaced" in said()

        parent.send_signal(signal.SIGHUP)
        wait_for(replaced, DEADLINE_S + 30, "the replacement")
        wait_for(lambda: len(workers()) == 2, DEADLINE_S, "two workers again")
        assert not workers() & before
        assert min(fewest) >= 2
        assert max(most) == 3
        assert "worker died" not in said()
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


def test_hup_replaces_a_worker_that_cannot_have_a_double(pool: Pool) -> None:
    wait_for(lambda: pool.arrived("before"), DEADLINE_S, "the first line")
    first = pool.worker()
    pool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: pool.workers() and pool.worker().pid != first.pid, DEADLINE_S, "another worker")
    wait_for(lambda: pool.arrived("after"), DEADLINE_S, "a line through the new worker")
    wait_for(lambda: "workers replaced" in pool.log.read_text(encoding="utf-8"), DEADLINE_S, "the end of it")


def test_usr1_logs_the_state_and_the_counters_of_each_worker(pool: Pool) -> None:
    wait_for(lambda: pool.arrived("first"), DEADLINE_S, "the first line")
    pool.process.send_signal(signal.SIGUSR1)

    def told(event: str) -> list[dict[str, Any]]:
        entries = map(json.loads, pool.log.read_text(encoding="utf-8").splitlines())
        return [entry for entry in entries if entry["event"] == event]

    (state,) = wait_for(lambda: told("worker state"), DEADLINE_S, "its state")
    assert (state["worker"], state["state"], state["pid"]) == (0, "running", pool.worker().pid)
    (counters,) = wait_for(lambda: told("worker counters"), DEADLINE_S, "its counters")
    assert counters["records_read"] >= 1
    assert counters["host"] == socket.gethostname()


def test_a_worker_that_hangs_is_dumped_and_replaced(tmp_path: Path) -> None:
    # A pipe that nobody reads: the worker hangs in the middle of a flush.
    os.mkfifo(tmp_path / "out.log")
    reader = os.open(tmp_path / "out.log", os.O_RDONLY | os.O_NONBLOCK)
    pool = Pool(tmp_path, "--worker-timeout=1")
    try:
        first = pool.worker()

        def hung() -> bool:
            pool.send("x" * 60_000)
            return "makes no progress" in pool.log.read_text(encoding="utf-8")

        wait_for(hung, DEADLINE_S, "the parent's notice")
        wait_for(lambda: pool.workers() and pool.worker().pid != first.pid, DEADLINE_S, "another worker")
        entries = [json.loads(line) for line in pool.log.read_text(encoding="utf-8").splitlines()]
        (dump,) = [entry for entry in entries if entry["event"] == "stacks of a worker"]
        assert dump["pid"] == first.pid
        assert "Current thread" in dump["stacks"]
        assert "in _write_all" in dump["stacks"]
        state = json.loads((tmp_path / "state" / "forwarder-server-side-raw.json").read_text(encoding="utf-8"))
        assert re.match(r"signal SIGKILL: no sign of life for \d+ s", state["workers"][0]["crash"])
    finally:
        os.close(reader)
        pool.process.kill()
        pool.process.wait(DEADLINE_S)


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGSEGV])
def test_stacks_are_a_log_line_of_their_own(pool: Pool, number: signal.Signals) -> None:
    wait_for(lambda: pool.arrived("first"), DEADLINE_S, "the first line")
    worker = pool.worker()
    worker.send_signal(number)
    wait_for(lambda: "stacks of a worker" in pool.log.read_text(encoding="utf-8"), DEADLINE_S, "the stacks")
    entries = [json.loads(line) for line in pool.log.read_text(encoding="utf-8").splitlines()]
    (dump,) = [entry for entry in entries if entry["event"] == "stacks of a worker"]
    assert dump["pid"] == worker.pid
    assert "most recent call first" in dump["stacks"]


CRASH = """
import sys
from pathlib import Path
from elworkers.workers import pool, worker

def work(worker_id, stop, metrics, reporter):
    raise KeyError("mysql://u:secret@db/log", "\x1b[31m")

raise SystemExit(pool.Pool(worker.PoolConfig("forwarder", "x", work, state_file=Path(sys.argv[1]))).run())
"""


def test_a_crash_loop_stands_in_the_state_file_with_its_reason(tmp_path: Path) -> None:
    state, log = tmp_path / "state.json", tmp_path / "log"
    with log.open("wb") as stderr:
        parent = subprocess.Popen([sys.executable, "-c", CRASH, state], stderr=stderr)

    def crashes() -> int:
        return json.loads(state.read_text("utf-8"))["workers"][0]["crashes"] if state.exists() else 0

    try:
        wait_for(lambda: crashes() >= 2, DEADLINE_S, "two crashes")
        (worker,) = json.loads(state.read_text("utf-8"))["workers"]
        assert worker["crash"].startswith("exit code 1: crashed: KeyError: ('mysql://u:***@db/log', ")
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        crash = next(entry for entry in entries if entry["event"].startswith("worker crashed"))
        assert "in work" in crash["exception"]
        assert "secret" not in log.read_text(encoding="utf-8")
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


CLOCK = """
import sys, time
from pathlib import Path
from elworkers.workers import pool, worker
from elworkers.core.worker_state import State

real, step, state = time.time, Path(sys.argv[1]), Path(sys.argv[2])
time.time = lambda: real() + float(step.read_text())

def work(worker_id, stop, metrics, reporter):
    metrics.set_aside("schema Foo/3", "no such type; see mysql://u:secret@db/log")
    # Between two signs of life the clock can be set.
    while not stop.wait(0.6):
        reporter.report(State.RUNNING)

raise SystemExit(pool.Pool(worker.PoolConfig("forwarder", "x", work, worker_timeout_s=2.0, state_file=state)).run())
"""


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_step_of_the_clock_kills_nobody_and_hup_replaces_all_the_same(tmp_path: Path, step_s: int) -> None:
    step, state, log = tmp_path / "step", tmp_path / "state.json", tmp_path / "log"
    step.write_text("0", encoding="utf-8")
    with log.open("wb") as stderr:
        parent = subprocess.Popen([sys.executable, "-c", CLOCK, step, state], stderr=stderr)

    def workers() -> list[dict[str, Any]]:
        return json.loads(state.read_text(encoding="utf-8"))["workers"] if state.exists() else []

    try:
        (worker,) = wait_for(lambda: [one for one in workers() if one["state"] == "running"], DEADLINE_S, "a worker")
        assert worker["aside"] == {"schema Foo/3": "no such type; see mysql://u:***@db/log"}
        (tmp_path / "next").write_text(str(step_s), encoding="utf-8")
        (tmp_path / "next").replace(step)
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 3, DEADLINE_S, "several looks of the parent")
        assert [one["pid"] for one in workers()] == [worker["pid"]]
        parent.send_signal(signal.SIGHUP)
        wait_for(lambda: "workers replaced" in log.read_text(encoding="utf-8"), DEADLINE_S, "the replacement")
        (other,) = wait_for(lambda: [one for one in workers() if one["pid"]], DEADLINE_S, "the other worker")
        assert other["pid"] != worker["pid"]
        assert "makes no progress" not in log.read_text(encoding="utf-8")
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


def test_a_worker_that_waits_on_purpose_is_left_alone(tmp_path: Path) -> None:
    command = [BIN / "eventlogging-forwarder", "--worker-timeout=0.2", "--name=waiting"]
    command += [f"udp://127.0.0.1:{free_udp_port()}", "kafka:///127.0.0.1:1?topic=t"]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        parent = subprocess.Popen(command, stderr=stderr)
    try:
        said = lambda: log.read_text(encoding="utf-8")  # noqa: E731
        wait_for(lambda: "waiting to try again" in said(), DEADLINE_S, "the first backoff")
        (worker,) = psutil.Process(parent.pid).children()
        # Backoffs grow beyond the timeout; the log counts them only once a minute, the state file each.
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 3, DEADLINE_S, "several backoffs")
        assert psutil.Process(parent.pid).children() == [worker]
        assert "makes no progress" not in said()
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


def test_more_members_than_partitions_are_said_and_shown(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    topic, log = unique("idle"), tmp_path / "log"
    source = f"kafka:///{kafka}?topic={topic}&raw=True&identity={topic}&session_timeout_ms=6000&partitions=1"
    command = [BIN / "eventlogging-consumer", "--workers=2", "--name=idle", source, "stdout:"]
    env = {**os.environ, "EVENTLOGGING_RUN_DIR": str(tmp_path)}
    with log.open("wb") as stderr:
        parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=env)
    try:
        state = tmp_path / "state" / "consumer-idle.json"

        def states() -> list[str]:
            said = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {"workers": []}
            return sorted(worker["state"] for worker in said["workers"])

        wait_for(lambda: states() == ["idle", "running"], DEADLINE_S + 20, "one at work and one idle")
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        (warning,) = [entry for entry in entries if "more consumers than partitions" in entry["event"]][:1]
        assert (warning["consumers"], warning["partitions"], warning["topic"]) == (2, 1, topic)
    finally:
        parent.kill()
        parent.wait(DEADLINE_S)


def test_a_parent_that_looks_often_does_not_run_out_of_slots(tmp_path: Path) -> None:
    program = """
import os, signal
from elworkers.workers import pool, scoreboard as board, worker

class Hurried(pool.Pool):
    looks = 0

    def _wait(self):
        self.looks += 1
        if self.looks == 2 * board.MOST_WORKERS:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.looks > 2 * board.MOST_WORKERS:
            super()._wait()

def work(worker_id, stop, metrics, reporter):
    while not stop.wait(1):
        pass

raise SystemExit(Hurried(worker.PoolConfig("forwarder", "x", work)).run())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_end_of_the_input_ends_the_pool(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "eventlogging-forwarder", "stdin:", "stdout:"],
        input=b"a\nb\nlast without a line end",
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0
    assert done.stdout == b"a\nb\nlast without a line end\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["stdin:", "stdot:"], 78, "did you mean 'stdout'"),
        (["stdin:"], 2, "OUTPUT is missing"),
        (["stdin:", "stdout:", "--cuont"], 2, "did you mean --count"),
        (["stdin:", "stdout:", "--workers=2"], 78, "works with 1 worker only"),
        (["@/no/such/file"], 78, "/no/such/file: cannot be read"),
        (["kafka:///k:1?topic=t", "stdout:"], 78, "no consumer group"),
    ],
)
def test_a_command_line_that_cannot_work_ends_with_one_sentence(words: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [BIN / "eventlogging-forwarder", *words], capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("role", ["forwarder", "processor", "multiplexer", "consumer", "reporter"])
def test_every_role_explains_itself(role: str) -> None:
    for command in ([BIN / f"eventlogging-{role}"], [sys.executable, "-m", "elworkers", role]):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert done.returncode == 0
        assert "--workers" in done.stdout
        assert not done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_a_parent_stays_small_and_opens_no_connection(tmp_path: Path, role: str) -> None:
    instance = tmp_path / "eventlogging.d" / "consumers" / "one"
    instance.parent.mkdir(parents=True)
    instance.write_text(f"{KAFKA}&identity=g\nstdout:\n", encoding="utf-8")
    folders = {"EVENTLOGGING_RUN_DIR": str(tmp_path), "EVENTLOGGING_CONFIG_DIR": str(tmp_path / "eventlogging.d")}
    with (tmp_path / "log").open("wb") as log:
        parent = psutil.Popen(
            [BIN / f"eventlogging-{role}", "--name=small", *ROLES[role]], stderr=log, env={**os.environ, **folders}
        )
    try:
        state = tmp_path / "state" / f"{role}-small.json"
        wait_for(lambda: state.exists() and '"waiting"' in state.read_text("utf-8"), DEADLINE_S, "a worker that waits")
        assert "127.0.0.1:1" in json.loads(state.read_text("utf-8"))["workers"][0]["reason"]
        assert parent.memory_info().rss <= PARENT_MIB * 1024**2
        assert parent.children()[0].memory_info().rss <= WORKER_MIB * 1024**2
        # What it listens on has no other side.
        assert not [one for one in parent.net_connections() if one.raddr]
    finally:
        parent.terminate()
        assert parent.wait(DEADLINE_S) == 0
