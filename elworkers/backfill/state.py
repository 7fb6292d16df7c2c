# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the progress of a backfill in a file, so that the same command can continue it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.permissions import DATA_FILE

LOCK, SCRATCH = ".lock", ".new"
"""What stands behind the name of a state file while it is in use."""

_HEAD = 4096


class InputFile(msgspec.Struct):
    """One input.

    Attributes:
        head_bytes, head: number of bytes at its beginning, and their digest, which identifies it.
        time_ms: the time of its lines that say none, in ms since the epoch: when it was last written.
        position: unpacked bytes that are done with.
        size: its bytes, packed as they are, where it was read to its end; -1 where it was not.
    """

    head_bytes: int
    head: str
    time_ms: int
    position: int = 0
    size: int = -1


class OffsetRange(msgspec.Struct):
    """What of one partition is wanted: from `position`, which moves, up to but without `end`."""

    position: int
    end: int


class _Content(msgspec.Struct):
    identity: dict[str, str] = msgspec.field(name="job")
    files: dict[str, InputFile] = {}
    partitions: dict[str, OffsetRange] = {}
    topic_ids: dict[str, str] = {}
    outputs: dict[str, int] = {}
    topics: dict[str, dict[str, int]] = {}
    counts: dict[str, int] = {}


class State:
    """The state of one backfill.

    Args:
        path: of its file; None: nothing is saved.
        identity: what tells this backfill from others, by readable names, without passwords.
        again: start over, and ignore earlier progress.

    Attributes:
        files: by path, what is known of input files.
        partitions: by `topic/number`, what is wanted of each; empty before that is known.
        topic_ids: Kafka's ids of topics.
        outputs: by path, from which byte on each file that is written may hold what is not committed.
        topics: the same of Kafka outputs, by brokers and topic, then by `topic/number`.
        counts: how many records were read, stored and rejected until now.

    Raises:
        ConfigurationError: the file is another backfill's, or cannot be used.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, str], *, again: bool = False) -> None:
        self._path = path
        self._content = _Content(dict(identity))
        if path is not None and not again:
            self._load(path)
        content = self._content
        self.files, self.partitions, self.topic_ids = content.files, content.partitions, content.topic_ids
        self.outputs, self.topics, self.counts = content.outputs, content.topics, content.counts

    @property
    def begun(self) -> bool:
        """Whether anything of it was done before."""
        return bool(self.counts)

    def _load(self, path: Path) -> None:
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_Content)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"state file {path}: cannot be read: {error.strerror}; {_ELSE}") from None
        except msgspec.MsgspecError:
            raise ConfigurationError(f"state file {path}: is not a state file; {_ELSE}") from None
        wanted = self._content.identity
        for name in sorted(found.identity.keys() | wanted.keys()):
            if found.identity.get(name) != wanted.get(name):
                was, now = found.identity.get(name, "none"), wanted.get(name, "none")
                raise ConfigurationError(
                    f"state file {path}: is of another backfill, whose {name} is {was}, not {now}; {_ELSE},"
                    " or --again to begin anew"
                )
        self._content = found

    def begin(self, path: Path) -> InputFile:
        """Return what is known of an input file; nothing if it is another one than it was.

        Raises:
            RetryableError: it cannot be read.
        """
        try:
            known = self.files.get(str(path))
            if known is None or _head(path, known.head_bytes) != known.head:
                told = path.stat()
                size = min(_HEAD, told.st_size)
                known = InputFile(size, _head(path, size), told.st_mtime_ns // 1_000_000)
                self.files[str(path)] = known
            elif known.size not in (-1, path.stat().st_size):
                # Something was added to it.
                known.size = -1
        except OSError as error:
            raise RetryableError(f"file {path}: cannot be read: {error.strerror}") from error
        return known

    def output_from(self, path: Path) -> int:
        """Return the byte of a file from which on it may hold uncommitted writes."""
        return self.outputs.setdefault(str(path), _size(path))

    def save(self) -> None:
        """Keep it.

        Raises:
            RetryableError: the file cannot be written.
        """
        if self._path is None:
            return
        # One process at a time has it (`alone`).
        scratch = self._path.with_name(f"{self._path.name}{SCRATCH}")
        try:
            scratch.write_bytes(msgspec.json.format(msgspec.json.encode(self._content)) + b"\n")
            scratch.replace(self._path)
        except OSError as error:
            raise RetryableError(f"state file {self._path}: cannot be written: {error.strerror}") from error


_ELSE = "expected --state FILE with another name"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a state file against another backfill that would use it.

    Raises:
        ConfigurationError: another one does, or its folder cannot be written.
    """
    lock = path.with_name(f"{path.name}{LOCK}")
    try:
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
    except OSError as error:
        raise ConfigurationError(f"state file {path}: cannot be written there: {error.strerror}; {_ELSE}") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"state file {path}: is in use by another backfill; {_ELSE}") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(held)


def _head(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
