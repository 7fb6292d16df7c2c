# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps, in the base folder, which topics stand still, why and since when, for later processes.

One small file for each, so that whoever works on other topics writes other files. They are no more than notes: where
the store rejects one, the importer works on without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from elworkers.core.errors import RetryableError
from elworkers.core.passwords import without_passwords
from elworkers.importer.manifest import FOLDER
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store

_FOLDER, _SUFFIX = f"{FOLDER}/~standing", ".json"
"""Where notes are. No topic has `~` in its name; an `@` would make what is before it look like a password in a URI."""

log = structlog.get_logger(__name__)


class TopicOrPartition(NamedTuple):
    """A topic, or one of its partitions."""

    topic: str
    number: int | None = None

    @property
    def noun(self) -> str:
        """`topic` or `partition`."""
        return "topic" if self.number is None else "partition"

    @property
    def name(self) -> str:
        """As `contracts.Metrics.set_aside` wants it."""
        return f"topic {self.topic}" if self.number is None else f"topic {self.topic}[{self.number}]"


class Note(NamedTuple):
    """Why something stands still, and since when (s since the epoch)."""

    why: str
    since: int


class Notes:
    """The notes of a base folder.

    Args:
        store: the base folder.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[TopicOrPartition, Note] = {}

    def read(self) -> Mapping[TopicOrPartition, Note]:
        """Return all that are there; none where the store rejects their folder, or that are damaged.

        Raises:
            RetryableError: the store does not answer.
        """
        found: dict[TopicOrPartition, Note] = {}
        try:
            for entry in self._store.list(_FOLDER):
                item = _item_of(entry.name)
                note = _note(self._store.read(f"{_FOLDER}/{entry.name}")) if item is not None else None
                if item is not None and note is not None:
                    found[item] = note
        except PathRejectedError as error:
            log.warning(
                "the notes since when topics stand still cannot be read",
                code="import_notes_unreadable",
                reason=str(error),
            )
        self._written = dict(found)
        return found

    def write(self, item: TopicOrPartition, note: Note) -> None:
        """Write a note, unless it is there."""
        if self._written.get(item) == note:
            return
        content = {
            "topic": item.topic,
            "partition": item.number,
            "since": datetime.fromtimestamp(note.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": without_passwords(note.why),
        }
        try:
            self._store.write(_path(item), [json.dumps(content).encode()])
        except RetryableError as error:
            log.warning(
                "the note since when it stands still cannot be written",
                code="import_note_not_saved",
                what=item.name,
                reason=str(error),
            )
        else:
            self._written[item] = note

    def drop(self, item: TopicOrPartition) -> bool:
        """Remove a note, if there is one; return False where the store does not do it now."""
        try:
            self._store.remove(_path(item))
        except RetryableError as error:
            log.warning(
                "the note since when it stands still cannot be removed",
                code="import_note_not_removed",
                what=item.name,
                reason=str(error),
            )
            return False
        self._written.pop(item, None)
        return True


def _path(item: TopicOrPartition) -> str:
    return f"{_FOLDER}/{item.topic}{'' if item.number is None else f'~{item.number}'}{_SUFFIX}"


def _item_of(name: str) -> TopicOrPartition | None:
    topic, _, number = name.removesuffix(_SUFFIX).partition("~")
    if not name.endswith(_SUFFIX) or not topic or (number and not number.isdecimal()):
        return None
    return TopicOrPartition(topic, int(number) if number else None)


def _note(content: bytes) -> Note | None:
    try:
        parsed = json.loads(content)
        return Note(str(parsed["reason"]), int(datetime.fromisoformat(parsed["since"]).timestamp()))
    except (ValueError, KeyError, TypeError):
        return None
