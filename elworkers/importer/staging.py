# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Collects lines in files on the local disk, any number of them with few open at a time.

A staging file is what a file in the store is made of. Staging files are worth nothing to the next process: what is in
them has not been imported, and is read from Kafka again.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.permissions import DATA_FILE, DATA_FOLDER
from elworkers.importer.hours import HourPartition

_CHUNK = 1 << 18


@dataclass
class StagingFile:
    """Lines of one partition for one hour, in the order of their offsets.

    Attributes:
        path: of the local file.
        first, last: offsets of its first and last line.
        records: how many lines.
        size: their bytes.
    """

    partition: TopicPartition
    hour_partition: HourPartition
    path: Path
    first: int
    last: int
    records: int = 0
    size: int = 0

    def chunks(self) -> Iterator[bytes]:
        """Return the file's content.

        Raises:
            RetryableError: the disk cannot be read.
        """
        return chunks_of(self.path)


class StagingFiles:
    """All staging files of one worker.

    Args:
        folder: of this worker alone; what an earlier process left there is removed.
        most_open: file descriptors held.

    Raises:
        RetryableError: the folder cannot be made.
    """

    def __init__(self, folder: Path, most_open: int = 128) -> None:
        self._folder = folder
        self._most_open = most_open
        self._open: OrderedDict[Path, io.FileIO] = OrderedDict()
        self._made = 0
        try:
            folder.mkdir(DATA_FOLDER, parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetryableError(
                f"{folder}: another importer has its staging files here; give one of them another --staging-dir"
            ) from None
        except OSError as error:
            raise _cannot(folder, error) from error
        self._empty()

    def begin(self, partition: TopicPartition, hour_partition: HourPartition, first: int) -> StagingFile:
        """Return an empty staging file, with no file on disk yet."""
        self._made += 1
        return StagingFile(partition, hour_partition, self._folder / str(self._made), first, first)

    def append(self, staging_file: StagingFile, lines: bytes, records: int, last: int) -> None:
        """Add whole lines.

        Args:
            staging_file: of `begin`.
            lines: each with its newline.
            records: how many.
            last: the offset of the last.

        Raises:
            RetryableError: the disk does not take them; the staging file is as before.
        """
        try:
            file = self._opened(staging_file.path)
            written = file.write(lines)
            while written < len(lines):
                written += file.write(lines[written:])
        except OSError as error:
            self._cut(staging_file)
            raise _cannot(staging_file.path, error) from error
        staging_file.records += records
        staging_file.size += len(lines)
        staging_file.last = last

    def _opened(self, path: Path) -> io.FileIO:
        file = self._open.get(path)
        if file is None:
            if len(self._open) >= self._most_open:
                self._open.popitem(last=False)[1].close()
            file = self._open[path] = _appending(path)
        self._open.move_to_end(path)
        return file

    def _cut(self, staging_file: StagingFile) -> None:
        if staging_file.path.exists():
            os.truncate(staging_file.path, staging_file.size)

    def drop(self, staging_file: StagingFile) -> None:
        """Remove a staging file."""
        file = self._open.pop(staging_file.path, None)
        if file is not None:
            file.close()
        staging_file.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all staging files."""
        while self._open:
            self._open.popitem()[1].close()
        self._empty()
        self._lock.close()

    def _empty(self) -> None:
        for path in self._folder.iterdir():
            if path.name.isdigit():
                path.unlink(missing_ok=True)


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield a local file's content.

    Raises:
        RetryableError: the disk cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise _cannot(path, error) from error


def _appending(path: Path) -> io.FileIO:
    return io.FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags, DATA_FILE))


def _cannot(path: Path, error: OSError) -> RetryableError:
    return RetryableError(f"{path}: {error.strerror or error}")
