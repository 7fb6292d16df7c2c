"""Manifests come in; files that show all at once or not at all, and the place to go on from, go out.

Several renames are not one step, so what they are to do is written down before the first of them. For each manifest:

1. files: written under hidden temporary names, and closed.
2. `_importer/<topic>/<partition>.<begin>.json`: the manifest, renamed there from a hidden name. Only one importer can
   do this for one `begin`; from here on its files will be there, whoever carries on.
3. renames: each file gets its name in the folder of its hour.
4. `…/<partition>.<begin>-<next>.json`: the manifest again, renamed once more. `next` is where to go on from.
5. the manifest before it is removed.

After a crash before step 2 the files are leftovers; after it, `load` does steps 3 to 5.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from elworkers.errors import RetryableError
from elworkers.importer.store import Entry, Store

FOLDER = "_importer"
"""Readers of the base folder pass over names with an underscore or a dot in front, as Hadoop's do."""

_MANIFEST = re.compile(r"([0-9]+)\.([0-9]+)(?:-([0-9]+))?\.json")
_TEMPORARY = re.compile(r"\.(.+)~([0-9]+)~([0-9]+)~[0-9]+")
_ABANDONED_S = 24 * 3600.0

log = structlog.get_logger(__name__)


class File(NamedTuple):
    """One file of a manifest.

    Attributes:
        temporary, path: what it is called before and after.
        first, last: offsets of its first and last record.
        records, size: how many, and the file's bytes.
    """

    temporary: str
    path: str
    first: int
    last: int
    records: int
    size: int


class Manifest(NamedTuple):
    """What is imported in one go of one partition.

    Attributes:
        begin, next: the offsets that it begins with, and that the next one begins with.
        files: of every hour.
        unfinished: hours (`Place.path`) of the topic that have files but no `_SUCCESS` mark yet.
    """

    topic: str
    partition: int
    begin: int
    next: int
    files: tuple[File, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def opened(self) -> str:
        """Its path until its files have their names."""
        return f"{FOLDER}/{self.topic}/{self.partition}.{self.begin}.json"

    @property
    def done(self) -> str:
        """Its path from then on."""
        return f"{FOLDER}/{self.topic}/{self.partition}.{self.begin}-{self.next}.json"


class Found(NamedTuple):
    """A manifest by its name alone; `next` is None until its files have their names."""

    partition: int
    begin: int
    next: int | None
    name: str


def found(entries: Iterable[Entry]) -> list[Found]:
    """The manifests in a topic's folder."""
    matches = [_MANIFEST.fullmatch(entry.name) for entry in entries]
    return [
        Found(int(match[1]), int(match[2]), None if match[3] is None else int(match[3]), match[0])
        for match in matches
        if match
    ]


def newest(manifests: Iterable[Found]) -> dict[int, Found]:
    """The last manifest of each partition whose files have their names."""
    last: dict[int, Found] = {}
    for one in manifests:
        if one.next is not None and (one.partition not in last or one.next > (last[one.partition].next or 0)):
            last[one.partition] = one
    return last


class Journal:
    """The manifests of a base folder, written by one process; threads may share it, for a partition each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = f"{socket.gethostname()}~{os.getpid()}~{_started(os.getpid())}"
        self._numbers = itertools.count(1)

    def temporary(self, topic: str) -> str:
        """A path that nobody else uses and no reader looks at."""
        return f"{FOLDER}/{topic}/.{self._owner}~{next(self._numbers)}"

    def load(self, topic: str) -> dict[int, Manifest]:
        """The last manifest of each partition, after what an ended process began has been brought to its end.

        Not while anything of the topic is written: what this process has under hidden names is taken for leftovers.

        Raises:
            RetryableError: the store does not answer.
        """
        folder = f"{FOLDER}/{topic}"
        entries = self._store.list(folder)
        manifests = found(entries)
        last = newest(manifests)
        for one in manifests:
            if one.next is None:
                self._bring_to_its_end(topic, one, last)
        if any(one.next is None for one in manifests):
            manifests = found(self._store.list(folder))
            last = newest(manifests)
        for one in manifests:
            if one.next is not None and one is not last[one.partition]:
                self._store.remove(f"{folder}/{one.name}")
        self._clean(topic, entries)
        return {partition: self.read(topic, one) for partition, one in last.items()}

    def _bring_to_its_end(self, topic: str, one: Found, last: Mapping[int, Found]) -> None:
        before = last.get(one.partition)
        path = f"{FOLDER}/{topic}/{one.name}"
        if before is not None and before.next is not None and one.begin < before.next:
            # Its author came late: somebody else had imported these offsets already.
            self._withdraw(self.read(topic, one), path, named=False)
        else:
            log.info("bringing an import to its end", topic=topic, partition=one.partition, begin=one.begin)
            self._carry_out(self.read(topic, one))

    def read(self, topic: str, one: Found) -> Manifest:
        """A manifest's content.

        Raises:
            RetryableError: the store does not answer, or another importer has just renamed or removed it.
        """
        path = f"{FOLDER}/{topic}/{one.name}"
        try:
            told: dict[str, Any] = json.loads(self._store.read(path))
            return Manifest(
                topic,
                one.partition,
                one.begin,
                told["next"],
                tuple(File(**file) for file in told["files"]),
                tuple(told["unfinished"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RetryableError(f"{self._store.name}/{path}: is no manifest ({error!r})") from None

    def publish(self, manifest: Manifest) -> bool:
        """Give the files of a manifest their names and move on; False where another importer was there first.

        Raises:
            RetryableError: the manifest may be there or not; `load` knows.
        """
        hidden = self.temporary(manifest.topic)
        content = {
            "topic": manifest.topic,
            "partition": manifest.partition,
            "begin": manifest.begin,
            "next": manifest.next,
            "files": [file._asdict() for file in manifest.files],
            "unfinished": manifest.unfinished,
            "by": self._owner,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self._store.write(hidden, [json.dumps(content).encode()])
        if not self._store.rename(hidden, manifest.opened):
            self._store.remove(hidden)
            self._remove_temporaries(manifest.files)
            return False
        # A manifest is removed only after its successor is done: so either the name was taken, or this shows it.
        entries = found(self._store.list(f"{FOLDER}/{manifest.topic}"))
        before = newest(entries).get(manifest.partition)
        if before is not None and before.next is not None and before.next > manifest.begin:
            self._withdraw(manifest, manifest.opened, named=False)
            return False
        if not self._carry_out(manifest):
            return False
        if before is not None:
            self._store.remove(f"{FOLDER}/{manifest.topic}/{before.name}")
        return True

    def _carry_out(self, manifest: Manifest) -> bool:
        for file in manifest.files:
            if self._store.rename(file.temporary, file.path):
                continue
            if self._store.exists(file.path):
                self._store.remove(file.temporary)
            elif self._store.exists(file.temporary):
                self._store.forget_folders()
                raise RetryableError(f"{self._store.name}: cannot rename {file.temporary} to {file.path}")
            else:
                log.error(
                    "a file of this import is gone; its offsets are read again",
                    topic=manifest.topic,
                    partition=manifest.partition,
                    begin=manifest.begin,
                    path=file.path,
                )
                self._withdraw(manifest, manifest.opened, named=True)
                return False
        self._store.rename(manifest.opened, manifest.done)
        return True

    def _withdraw(self, manifest: Manifest, path: str, named: bool) -> None:
        if named:
            for file in manifest.files:
                self._store.remove(file.path)
        self._remove_temporaries(manifest.files)
        self._store.remove(path)

    def _remove_temporaries(self, files: Sequence[File]) -> None:
        for file in files:
            self._store.remove(file.temporary)

    def _clean(self, topic: str, entries: Iterable[Entry]) -> None:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and self._is_leftover(match, entry):
                self._store.remove(f"{FOLDER}/{topic}/{entry.name}")

    def _is_leftover(self, match: re.Match[str], entry: Entry) -> bool:
        if entry.name.startswith(f".{self._owner}~"):
            # Of a try that failed: this process writes nothing while it loads.
            return True
        if match[1] == socket.gethostname():
            return _started(int(match[2])) != int(match[3])
        # Of another host: nobody here can see whether it is still at work.
        return 0 < entry.changed_s < time.time() - _ABANDONED_S


def _started(pid: int) -> int:
    """When a process began, in clock ticks since the machine did (proc(5)); -1 where there is none.

    Not as a time of day: that changes when the clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return -1
    # The second field is the program's name, which may hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[19])
