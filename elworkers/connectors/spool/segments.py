# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds where a spool on disk continues, and quarantines damaged parts of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import structlog

_SEGMENT = re.compile(r"[0-9]{20}\.spool", re.ASCII)
_POSITION = re.compile(rb"[0-9]{1,20}\n?")
# What a crash leaves of a line that it has torn.
_TORN = re.compile(rb"[0-9]*(?:\t[^\0]*)?", re.DOTALL)
_LONGEST_POSITION = 100

log = structlog.get_logger(__name__)


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
        starts: positions of the segments, in order.
        done: everything before it is done with.
        end: behind the last whole line.
    """

    starts: list[int]
    done: int
    end: int


def segment(folder: Path, start: int) -> Path:
    """Return the file of a segment."""
    return folder / f"{start:020}.spool"


def scan(folder: Path) -> Found:
    """Return what a folder holds; files that are none of a spool, or damaged, get another name.

    Raises:
        OSError: the folder cannot be read.
    """
    starts: list[int] = []
    for path in sorted(folder.glob("*.spool")):
        if not _SEGMENT.fullmatch(path.name) or not path.is_file():
            quarantine(path, "it is no segment of a spool")
        else:
            starts.append(int(path.stem))
    end = 0
    for number, start in enumerate(starts):
        end = _end(folder, start, *starts[number + 1 : number + 2])
    if starts and not segment(folder, starts[-1]).exists():
        # No line in it could be read; the next one of its name is empty.
        starts.pop()
    done = _done(folder / "done")
    if not starts:
        return Found([], done or 0, done or 0)
    if done is not None and not _is_line_end(folder, starts, done, end):
        quarantine(folder / "done", f"it says {done}, where no line of the spool ends")
        done = None
    return Found(starts, max(done or 0, starts[0]), end)


def _end(folder: Path, start: int, following: int | None = None) -> int:
    """Return the position behind the last whole line of a segment."""
    path = segment(folder, start)
    if following is not None:
        if path.stat().st_size > following - start:
            quarantine_copy(path, "it reaches into the next one, which is believed")
        return following
    content = path.read_bytes()
    line_end = content.rfind(b"\n") + 1
    if _TORN.fullmatch(content, line_end):
        if line_end < len(content):
            os.truncate(path, line_end)
    elif line_end == 0:
        quarantine(path, "no line in it can be read")
    else:
        quarantine_copy(path, "what is behind its last whole line cannot be read")
    return start + line_end


def _done(path: Path) -> int | None:
    try:
        content = path.read_bytes()[:_LONGEST_POSITION]
    except FileNotFoundError:
        return 0
    except IsADirectoryError:
        content = b""
    if _POSITION.fullmatch(content):
        return int(content)
    quarantine(path, "it holds no position; all lines that are there count as not done with")
    return None


def _is_line_end(folder: Path, starts: list[int], done: int, end: int) -> bool:
    if done <= starts[0] or done in starts or done == end:
        return True
    if done > end:
        return False
    start = max(start for start in starts if start < done)
    with segment(folder, start).open("rb") as file:
        file.seek(done - start - 1)
        # Beyond a segment that has become shorter there is nothing to say.
        return file.read(1) in (b"\n", b"")


def quarantine(path: Path, why: str) -> None:
    """Give a file a name that no spool has, and log it."""
    target = _free_name(path)
    done = f"put aside as {target.name}"
    try:
        path.rename(target)
    except OSError as error:
        done = f"passed over: {error.strerror}"
    log.error("the spool is damaged", code="spool_damaged", file=str(path), why=why, done=done)


def quarantine_copy(path: Path, why: str) -> None:
    """Give a file that is still needed a second name, which outlasts the first; logged once."""
    if any(path.exists() and one.samefile(path) for one in path.parent.glob(f"{path.name}.aside*")):
        return
    target = _free_name(path)
    done = f"kept as {target.name}; what can be read goes on"
    try:
        os.link(path, target)
    except OSError as error:
        done = f"passed over: {error.strerror}"
    log.error("the spool is damaged", code="spool_damaged", file=str(path), why=why, done=done)


def _free_name(path: Path) -> Path:
    number, target = 1, path.with_name(f"{path.name}.aside")
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.aside-{number}")
    return target
