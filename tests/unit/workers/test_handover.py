# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What one image of a pool's parent leaves to the next."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace

import pytest

from elworkers.core.worker_state import State
from elworkers.workers import handover
from elworkers.workers.handover import Configuration, HandedOver, HandoverError
from elworkers.workers.scoreboard import LAYOUT, Remarks, Scoreboard
from elworkers.workers.worker_process import WorkerProcess


def handed(
    scoreboard: Scoreboard, *worker_processes: WorkerProcess, sockets: tuple[socket.socket, ...] = ()
) -> HandedOver:
    return HandedOver(
        pid=os.getpid(),
        renewals=2,
        configured=1,
        wanted=3,
        scoreboard=(os.dup(scoreboard.file), LAYOUT),
        sockets=[os.dup(one.fileno()) for one in sockets],
        workers=[
            {**handover.worker_fields(worker_process), "stacks": os.dup(worker_process.stacks.file)}
            for worker_process in worker_processes
        ],
    )


def worker_process(scoreboard: Scoreboard) -> WorkerProcess:
    made = WorkerProcess(0, scoreboard.free_slot(), pid=4711, restarts=3, since=1.0, begun=2.0, crash="signal SIGKILL")
    made.slot.read(42)
    made.slot.report(State.RUNNING)
    made.slot.set_remarks(Remarks("why", 5.0))
    return made


def changed(file: int, **fields: object) -> int:
    """The same with other fields; `None` takes one out."""
    content = json.loads(os.pread(file, 10**6, 0)) | fields
    text = json.dumps({name: value for name, value in content.items() if value is not None}).encode()
    os.ftruncate(file, 0)
    os.pwrite(file, text, 0)
    return file


def test_the_next_image_has_everything_back() -> None:
    scoreboard = Scoreboard()
    before = worker_process(scoreboard)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        given = handed(scoreboard, before, sockets=(server,))
        file = handover.write(given)
        handover.add(file, Configuration([("stdin:", "f", 1)], "f", "ab", 7.0))
        found = handover.take(changed(file, later="unknown to this version"))
        assert found.configuration == Configuration([("stdin:", "f", 1)], "f", "ab", 7.0)
        assert replace(found, configuration=None) == given
        (opened,) = found.opened()
        assert opened.getsockname() == server.getsockname()
        # A worker's copy would block the loop that reads it.
        assert opened.dup().gettimeout() == 0.0
    shared, same = found.shared_scoreboard()
    assert same
    (adopted,) = found.worker_processes(shared, same)
    assert (adopted.pid, adopted.restarts, adopted.since, adopted.begun) == (4711, 3, 1.0, 2.0)
    assert adopted.slot.snapshot().records == 42
    assert adopted.slot.remarks().reason == "why"
    before.slot.report(State.IDLE)
    assert adopted.slot.snapshot().state is State.IDLE
    # The slot is nobody else's.
    assert shared.free_slot().number != adopted.slot.number
    assert not any(os.get_inheritable(one) for one in (shared.file, adopted.stacks.file, opened.fileno()))


@pytest.mark.parametrize("layout", [f"{LAYOUT} and more", LAYOUT])
def test_a_board_of_another_layout_is_not_read(layout: str) -> None:
    scoreboard = Scoreboard()
    given = handed(scoreboard, worker_process(scoreboard))
    if layout == LAYOUT:
        os.ftruncate(given.scoreboard[0], 4096)
    shared, same = replace(given, scoreboard=(given.scoreboard[0], layout)).shared_scoreboard()
    assert not same
    (adopted,) = given.worker_processes(shared, same)
    assert adopted.pid == 4711
    assert adopted.slot.remarks() == Remarks()
    # It is not killed for its silence.
    assert adopted.slot.snapshot().state is State.WAITING
    assert adopted.silent_s() == 0.0


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"format": 2}, "hands over its state in format 2, this program reads format 1; stop and start it"),
        ({"format": None}, "hands over its state in format None"),
        ({"workers": None}, "is damaged: KeyError"),
        ({"board": 7}, "is damaged: TypeError"),
        ({"pid": 1}, "the state that process 1 hands over is not for this one"),
    ],
)
def test_what_cannot_be_taken_over_is_said(fields: dict[str, object], content: str) -> None:
    file = changed(handover.write(handed(Scoreboard())), **fields)
    with pytest.raises(HandoverError, match=content):
        handover.take(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_handover_at_all_is_said(content: bytes) -> None:
    file = os.memfd_create("handover")
    os.write(file, content)
    with pytest.raises(HandoverError, match="hands over"):
        handover.take(file)


def test_nobody_else_learns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(handover.VARIABLE, "7")
    assert handover.inherited_descriptor() == 7
    assert handover.VARIABLE not in os.environ
    assert handover.inherited_descriptor() is None
