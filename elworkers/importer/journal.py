# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Publishes files all at once or not at all, and finds the position to continue from.

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from elworkers.core.errors import RetryableError
from elworkers.importer.manifest import File, Manifest, ManifestName, folder_of, latest, manifest_names
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Entry, Store

_TEMPORARY = re.compile(r"\.(.+)~([0-9]+)~([0-9]+)~[0-9]+")
_ABANDONED_S = 24 * 3600.0
_ID_DIGITS = 8
_MOST_NAMES = 1_000

log = structlog.get_logger(__name__)


class Journal:
    """The manifests of a base folder, written by one process; threads may share it, for a partition each.

    Args:
        store: the base folder.
        recovered: told of each manifest of an ended process whose files have their names now.
    """

    def __init__(self, store: Store, recovered: Callable[[Manifest], None] = lambda _: None) -> None:
        self._store = store
        self._recovered = recovered
        self._owner = f"{socket.gethostname()}~{os.getpid()}~{_started(os.getpid())}"
        self._numbers = itertools.count(1)

    def temporary(self, topic: str, generation: str = "") -> str:
        """Return a hidden path that nobody else uses."""
        return f"{folder_of(topic, generation)}/.{self._owner}~{next(self._numbers)}"

    def generation(self, topic: str, topic_id: str) -> str:
        """Return the generation of a topic that was deleted and made again since it was imported first; else nothing.

        Args:
            topic: the topic.
            topic_id: Kafka's id of it now; empty where it is not known, and then the topic is taken for the first one.

        Raises:
            RetryableError: the store does not answer.
            PathRejectedError: the topic's manifests cannot be read.
        """
        if not topic_id:
            return ""
        for one in latest(manifest_names(self._store.list(folder_of(topic)))).values():
            known = self.read(folder_of(topic), topic, one).topic_id
            if known:
                return "" if known == topic_id else topic_id[:_ID_DIGITS]
        return ""

    def load(self, topic: str, generation: str = "") -> dict[int, Manifest]:
        """Return the last manifest of each partition, after what an ended process began has been brought to its end.

        Not while anything of the topic is written: what this process has under hidden names is taken for leftovers.

        Args:
            topic: the topic.
            generation: of the method of this name.

        Raises:
            RetryableError: the store does not answer.
            PathRejectedError: it does, but not for this topic, or one of its manifests is none.
        """
        folder = folder_of(topic, generation)
        entries = self._store.list(folder)
        manifests = manifest_names(entries)
        last = latest(manifests)
        for one in manifests:
            if one.next is None:
                self._complete(folder, topic, one, last)
        if any(one.next is None for one in manifests):
            manifests = manifest_names(self._store.list(folder))
            last = latest(manifests)
        for one in manifests:
            if one.next is not None and one is not last[one.partition]:
                self._store.remove(f"{folder}/{one.name}")
        self._clean(folder, entries)
        return {partition: self.read(folder, topic, one) for partition, one in last.items()}

    def _complete(self, folder: str, topic: str, one: ManifestName, last: Mapping[int, ManifestName]) -> None:
        before = last.get(one.partition)
        path = f"{folder}/{one.name}"
        manifest = self.read(folder, topic, one)
        if before is not None and before.next is not None and one.begin < before.next:
            # Its author came late: somebody else had imported these offsets already.
            self._withdraw(manifest, path, named=False)
            return
        log.info(
            "bringing an import to its end",
            code="import_recovered",
            topic=topic,
            partition=one.partition,
            begin=one.begin,
        )
        if self._name_files(manifest):
            self._recovered(manifest)

    def read(self, folder: str, topic: str, one: ManifestName) -> Manifest:
        """Return a manifest's content.

        Args:
            folder: that it is in.
            topic: that it is of.
            one: its name.

        Raises:
            RetryableError: the store does not answer.
            PathRejectedError: it is none, as also where another importer has just renamed or removed it.
        """
        path = f"{folder}/{one.name}"
        content = self._store.read(path)
        try:
            parsed: dict[str, Any] = json.loads(content)
            return Manifest(
                topic,
                one.partition,
                one.begin,
                int(parsed["next"]),
                tuple(File(**file) for file in parsed["files"]),
                tuple(parsed["unfinished"]),
                str(parsed.get("topic_id", "")),
                folder.rpartition("@")[2] if "@" in folder else "",
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            what = "is empty" if not content else "is no manifest of an importer"
            raise PathRejectedError(
                f"{self._store.name}/{path}: {what}; put a copy of it back, or remove it to import the partition from"
                " its first message on again"
            ) from None

    def publish(self, manifest: Manifest) -> bool:
        """Give the files of a manifest their names and move on; False where another importer was there first.

        Raises:
            RetryableError: the manifest may be there or not; `load` knows.
        """
        hidden = self.temporary(manifest.topic, manifest.generation)
        content = {
            "topic": manifest.topic,
            "partition": manifest.partition,
            "begin": manifest.begin,
            "next": manifest.next,
            "files": [file._asdict() for file in manifest.files],
            "unfinished": manifest.unfinished,
            "topic_id": manifest.topic_id,
            "by": self._owner,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self._store.write(hidden, [json.dumps(content).encode()])
        if not self._store.rename(hidden, manifest.opened):
            self._store.remove(hidden)
            self._remove_temporaries(manifest.files)
            return False
        # A manifest is removed only after its successor is done: so either the name was taken, or this shows it.
        entries = manifest_names(self._store.list(manifest.folder))
        before = latest(entries).get(manifest.partition)
        if before is not None and before.next is not None and before.next > manifest.begin:
            self._withdraw(manifest, manifest.opened, named=False)
            return False
        if not self._name_files(manifest):
            return False
        if before is not None:
            self._store.remove(f"{manifest.folder}/{before.name}")
        return True

    def _name_files(self, manifest: Manifest) -> bool:
        for file in manifest.files:
            if not self._give_name(file):
                log.error(
                    "a file of this import is gone; its offsets are read again",
                    code="import_file_missing",
                    topic=manifest.topic,
                    partition=manifest.partition,
                    begin=manifest.begin,
                    path=file.path,
                )
                self._withdraw(manifest, manifest.opened, named=True)
                return False
        self._store.rename(manifest.opened, manifest.done)
        return True

    def _give_name(self, file: File) -> bool:
        """Give a file its name; False where it is gone."""
        for path in _candidates(file.path):
            if self._store.rename(file.temporary, path):
                if path != file.path:
                    log.warning(
                        "the name of a file was taken by another file",
                        code="import_file_renamed",
                        taken=file.path,
                        path=path,
                    )
                return True
            exists, is_waiting = self._store.exists(path), self._store.exists(file.temporary)
            if not is_waiting:
                # It has its name: an earlier try came as far as this.
                return exists
            if not exists:
                self._store.forget_folders()
                raise RetryableError(f"{self._store.name}: cannot rename a new file to {path}")
            if not self._store.renames_in_one_step and self._store.size(path) == file.size:
                # Copied by an earlier try, which was to remove what it had copied.
                self._store.remove(file.temporary)
                return True
            # A file never has two names, so that this one is not of this import.
        return False

    def _withdraw(self, manifest: Manifest, path: str, named: bool) -> None:
        if named:
            for file in manifest.files:
                self._store.remove(file.path)
        self._remove_temporaries(manifest.files)
        self._store.remove(path)

    def _remove_temporaries(self, files: Sequence[File]) -> None:
        for file in files:
            self._store.remove(file.temporary)

    def _clean(self, folder: str, entries: Iterable[Entry]) -> None:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and self._is_leftover(match, entry):
                self._store.remove(f"{folder}/{entry.name}")

    def _is_leftover(self, match: re.Match[str], entry: Entry) -> bool:
        if entry.name.startswith(f".{self._owner}~"):
            # Of a try that failed: this process writes nothing while it loads.
            return True
        if match[1] == socket.gethostname():
            return _started(int(match[2])) != int(match[3])
        # Of another host: nobody here can see whether it is still at work.
        return 0 < entry.changed_s < time.time() - _ABANDONED_S


def _candidates(path: str) -> Iterator[str]:
    """Yield the name that a file is to have, and those that it gets where that one is taken."""
    yield path
    folder, _, name = path.rpartition("/")
    bare, dot, suffix = name.partition(".json") if ".json" in name else name.rpartition(".")
    for number in range(2, _MOST_NAMES):
        yield f"{folder}/{bare}_{number}{dot}{suffix}"


def _started(pid: int) -> int:
    """Return when a process started, in clock ticks since boot (proc(5)); -1 if there is none.

    Not as a time of day: that changes when the clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return -1
    # The second field is the program's name, which may hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[19])
