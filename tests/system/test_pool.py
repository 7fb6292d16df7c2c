"""The pool parent by its installed command: titles, replaced workers, draining, and nobody left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from topology import BIN, free_udp_port
from waiting import wait_for

DEADLINE_S = 20.0


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
    ("words", "said"),
    [
        (["stdin:", "stdot:"], "did you mean 'stdout'"),
        (["stdin:"], "OUTPUT is missing"),
        (["stdin:", "stdout:", "--cuont"], "did you mean --count"),
        (["stdin:", "stdout:", "--workers=2"], "has room for 1"),
        (["@/no/such/file"], "/no/such/file: cannot be read"),
        (["kafka:///k:1?topic=t", "stdout:"], "no consumer group"),
    ],
)
def test_a_wrong_command_line_ends_with_78_and_one_sentence(words: list[str], said: str) -> None:
    done = subprocess.run(
        [BIN / "eventlogging-forwarder", *words], capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 78
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("role", ["forwarder", "processor", "multiplexer", "consumer", "reporter"])
def test_every_role_explains_itself(role: str) -> None:
    for command in ([BIN / f"eventlogging-{role}"], [sys.executable, "-m", "elworkers", role]):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert done.returncode == 0
        assert "--workers" in done.stdout
        assert not done.stderr
