# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Hands what a pool's parent holds to its next image, across an exec.

It goes through memory without a name (memfd_create(2)) as JSON, and with it the descriptors that it names. The child
that checks the configuration for the next image gets the same, and writes there what it has read.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from elworkers.core.errors import ElworkersError
from elworkers.core.worker_state import State
from elworkers.workers.scoreboard import LAYOUT, Scoreboard
from elworkers.workers.stacks import Stacks
from elworkers.workers.worker_process import WorkerProcess

VARIABLE = "ELWORKERS_HANDOVER"
"""Names the descriptor of that memory, for the next image alone."""
FORMAT = 1
"""Another one is for what this program could not carry on. What it only does not know is passed over."""

_STATE = "the state that the running pool hands over"


class HandoverError(ElworkersError):
    """What the image before has left cannot be taken over; says why."""


@dataclass(frozen=True)
class Configuration:
    """What was read.

    Attributes:
        arguments: text, file and line of each.
        file: the instance file, where there is one.
        sha256: of its content, 64 hex digits.
        at: when, in seconds since the epoch.
        secrets: what is not to be shown.
    """

    arguments: list[tuple[str, str | None, int | None]] = field(repr=False)
    file: str | None = None
    sha256: str | None = None
    at: float = 0.0
    secrets: list[str] = field(default_factory=list, repr=False)

    @property
    def public(self) -> dict[str, object]:
        """What the state file tells operators."""
        return {"file": self.file, "sha256": self.sha256, "at": self.at}


@dataclass(frozen=True)
class HandedOver:
    """What an image leaves to the next.

    Attributes:
        pid: of the parent, which is the same for both.
        renewals: how often it has executed itself anew.
        configured, wanted: how many workers its file wanted, and how many there should be.
        scoreboard: descriptor of the scoreboard's memory, and the layout of it.
        sockets: descriptors of what it listens on.
        workers: its workers; see `worker_fields`.
        configuration: what the child that was asked has read.
    """

    pid: int
    renewals: int
    configured: int
    wanted: int
    scoreboard: tuple[int, str]
    sockets: list[int]
    workers: list[dict[str, Any]]
    configuration: Configuration | None = None

    def descriptors(self) -> list[int]:
        """Return all that the next image needs."""
        return [self.scoreboard[0], *self.sockets, *(one["stacks"] for one in self.workers)]

    def shared_scoreboard(self) -> tuple[Scoreboard, bool]:
        """Return the scoreboard of before, and True; a new one, where that has another layout."""
        file, layout = self.scoreboard
        if layout == LAYOUT and Scoreboard.fits(file):
            os.set_inheritable(file, False)
            return Scoreboard(file), True
        os.close(file)
        return Scoreboard(), False

    def opened(self) -> list[socket.socket]:
        """Return the sockets."""
        found = [socket.socket(fileno=file) for file in self.sockets]
        for one in found:
            one.set_inheritable(False)
            # Python takes it for one that blocks, and would make it so when it is copied.
            one.setblocking(False)
        return found

    def worker_processes(self, scoreboard: Scoreboard, same: bool) -> list[WorkerProcess]:
        """Return the workers.

        Args:
            scoreboard, same: of `shared_scoreboard`.
        """
        return [_worker_process(one, scoreboard, same) for one in self.workers]


def worker_fields(worker_process: WorkerProcess) -> dict[str, Any]:
    """Return what the next image needs to know of a worker."""
    return {
        "index": worker_process.index,
        "slot": worker_process.slot.number,
        "stacks": worker_process.stacks.file,
        "pid": worker_process.pid,
        "restarts": worker_process.restarts,
        "since": worker_process.since,
        "begun": worker_process.begun,
        "crash": worker_process.crash,
        "leaving": worker_process.leaving,
        "kill_at": worker_process.kill_at,
    }


def _worker_process(content: dict[str, Any], scoreboard: Scoreboard, same: bool) -> WorkerProcess:
    os.set_inheritable(content["stacks"], False)
    slot = scoreboard.slot(content["slot"]) if same else scoreboard.free_slot()
    if not same:
        # What it says cannot be read; so nobody is to think that it says nothing.
        slot.clear()
        slot.report(State.WAITING)
    return WorkerProcess(
        index=content["index"],
        slot=slot,
        stacks=Stacks(content["stacks"]),
        pid=content["pid"],
        restarts=content.get("restarts", 0),
        since=content.get("since", 0.0),
        begun=content.get("begun", 0.0),
        crash=content.get("crash", ""),
        leaving=content.get("leaving", False),
        kill_at=content.get("kill_at", 0.0),
    )


def write(handed: HandedOver) -> int:
    """Write all of it to a file in memory, and return its descriptor."""
    file = os.memfd_create("handover", os.MFD_CLOEXEC)
    _replace(file, {"format": FORMAT, **_fields(handed)})
    return file


def _fields(handed: HandedOver) -> dict[str, Any]:
    read = handed.configuration
    fields = {**vars(handed), "configuration": None if read is None else vars(read)}
    # Other versions read it by this name.
    fields["board"] = fields.pop("scoreboard")
    return fields


def add(file: int, read: Configuration) -> None:
    """Leave for the parent what its child, which was asked, has read."""
    _replace(file, {**_content(file), "configuration": vars(read)})


def take(file: int) -> HandedOver:
    """Return what was written.

    Raises:
        HandoverError: it is not that of this process or its parent, or of a version that this one does not know.
    """
    content = _content(file)
    if content.get("format") != FORMAT:
        raise HandoverError(
            f"the running pool hands over its state in format {content.get('format')!r},"
            f" this program reads format {FORMAT}; stop and start it"
        )
    try:
        read = content.get("configuration")
        handed = HandedOver(
            pid=content["pid"],
            renewals=content["renewals"],
            configured=content["configured"],
            wanted=content["wanted"],
            scoreboard=(content["board"][0], content["board"][1]),
            sockets=content["sockets"],
            workers=content["workers"],
            configuration=None if read is None else _configuration(read),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise HandoverError(f"{_STATE} is damaged: {error!r}; stop and start it") from None
    if handed.pid not in (os.getpid(), os.getppid()):
        raise HandoverError(f"the state that process {handed.pid} hands over is not for this one")
    return handed


def _configuration(content: dict[str, Any]) -> Configuration:
    arguments = [(text, file, line) for text, file, line in content["arguments"]]
    return Configuration(
        arguments, content.get("file"), content.get("sha256"), content.get("at", 0.0), content.get("secrets", [])
    )


def _content(file: int) -> dict[str, Any]:
    try:
        content = json.loads(os.pread(file, os.fstat(file).st_size, 0))
    except (OSError, ValueError) as error:
        raise HandoverError(f"{_STATE} cannot be read: {error}; stop and start it") from None
    if not isinstance(content, dict):
        raise HandoverError(f"{_STATE} is damaged; stop and start it")
    return content


def _replace(file: int, content: dict[str, Any]) -> None:
    encoded = json.dumps(content).encode()
    os.ftruncate(file, 0)
    os.pwrite(file, encoded, 0)


def inherited_descriptor() -> int | None:
    """Return the descriptor that this process was started with for it, if any; children do not inherit it."""
    text = os.environ.pop(VARIABLE, "")
    return int(text) if text.isdigit() else None


def set_inheritable(descriptors: Iterable[int], over_exec: bool) -> None:
    """Set whether the descriptors stay open when this process executes another program."""
    for one in descriptors:
        os.set_inheritable(one, over_exec)
