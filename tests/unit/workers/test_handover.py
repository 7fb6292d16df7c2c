# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What one image of a pool's parent leaves to the next."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace

import pytest

from elworkers.core.loop import State
from elworkers.workers import handover
from elworkers.workers.handover import Configuration, HandedOver, HandoverError
from elworkers.workers.scoreboard import LAYOUT, Remarks, Scoreboard
from elworkers.workers.worker_process import WorkerProcess


def handed(board: Scoreboard, *members: WorkerProcess, sockets: tuple[socket.socket, ...] = ()) -> HandedOver:
    return HandedOver(
        pid=os.getpid(),
        renewals=2,
        configured=1,
        wanted=3,
        board=(os.dup(board.file), LAYOUT),
        sockets=[os.dup(one.fileno()) for one in sockets],
        workers=[{**handover.place(member), "stacks": os.dup(member.stacks.file)} for member in members],
    )


def member(board: Scoreboard) -> WorkerProcess:
    made = WorkerProcess(0, board.free_slot(), pid=4711, restarts=3, since=1.0, begun=2.0, crash="signal SIGKILL")
    made.slot.read(42)
    made.slot.report(State.RUNNING)
    made.slot.tell(Remarks("why", 5.0))
    return made


def changed(file: int, **fields: object) -> int:
    """The same with other fields; `None` takes one out."""
    said = json.loads(os.pread(file, 10**6, 0)) | fields
    text = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    os.ftruncate(file, 0)
    os.pwrite(file, text, 0)
    return file


def test_the_next_image_has_everything_back() -> None:
    board = Scoreboard()
    before = member(board)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        given = handed(board, before, sockets=(server,))
        file = handover.write(given)
        handover.add(file, Configuration([("stdin:", "f", 1)], "f", "ab", 7.0))
        found = handover.take(changed(file, later="unknown to this version"))
        assert found.configuration == Configuration([("stdin:", "f", 1)], "f", "ab", 7.0)
        assert replace(found, configuration=None) == given
        (opened,) = found.opened()
        assert opened.getsockname() == server.getsockname()
        # A worker's copy would block the loop that reads it.
        assert opened.dup().gettimeout() == 0.0
    shared, same = found.shared_board()
    assert same
    (adopted,) = found.members(shared, same)
    assert (adopted.pid, adopted.restarts, adopted.since, adopted.begun) == (4711, 3, 1.0, 2.0)
    assert adopted.slot.look().records == 42
    assert adopted.slot.told().reason == "why"
    before.slot.report(State.IDLE)
    assert adopted.slot.look().state is State.IDLE
    # The slot is nobody else's.
    assert shared.free_slot().number != adopted.slot.number
    assert not any(os.get_inheritable(one) for one in (shared.file, adopted.stacks.file, opened.fileno()))


@pytest.mark.parametrize("layout", [f"{LAYOUT} and more", LAYOUT])
def test_a_board_of_another_layout_is_not_read(layout: str) -> None:
    board = Scoreboard()
    given = handed(board, member(board))
    if layout == LAYOUT:
        os.ftruncate(given.board[0], 4096)
    shared, same = replace(given, board=(given.board[0], layout)).shared_board()
    assert not same
    (adopted,) = given.members(shared, same)
    assert adopted.pid == 4711
    assert adopted.slot.told() == Remarks()
    # It is not killed for its silence.
    assert adopted.slot.look().state is State.WAITING
    assert adopted.silent_s() == 0.0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": 2}, "hands over in format 2, this program takes 1; stop and start it"),
        ({"format": None}, "hands over in format None"),
        ({"workers": None}, "is damaged: KeyError"),
        ({"board": 7}, "is damaged: TypeError"),
        ({"pid": 1}, "what process 1 hands over is not for this one"),
    ],
)
def test_what_cannot_be_taken_over_is_said(fields: dict[str, object], said: str) -> None:
    file = changed(handover.write(handed(Scoreboard())), **fields)
    with pytest.raises(HandoverError, match=said):
        handover.take(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_handover_at_all_is_said(content: bytes) -> None:
    file = os.memfd_create("handover")
    os.write(file, content)
    with pytest.raises(HandoverError, match="hands over"):
        handover.take(file)


def test_nobody_else_learns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(handover.VARIABLE, "7")
    assert handover.given() == 7
    assert handover.VARIABLE not in os.environ
    assert handover.given() is None
