# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the type of each column the same in all Parquet files of a topic.

They are kept in `_importer/<topic>/columns.<number>.json`, which is there before the first file that follows it, so
that all files of a folder are one data set.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from elworkers.events.columns import Column, ColumnType
from elworkers.importer import manifest
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store

_FILE_NAME = re.compile(r"columns\.([0-9]+)\.json")


class _ColumnSet(NamedTuple):
    number: int
    columns: dict[str, Column]


class StoredColumns:
    """The columns of all topics of one base folder.

    Args:
        store: the base folder.
        folder: in it, of the importer.
    """

    def __init__(self, store: Store, folder: str = manifest.FOLDER) -> None:
        self._store, self._base = store, folder
        self._known: dict[str, _ColumnSet] = {}

    def agreed(self, topic: str, wanted: Sequence[Column]) -> list[Column]:
        """Return these columns, each with the type that the topic's first file gave it.

        Names are compared without regard to case, as many readers do.

        Raises:
            RetryableError: the store does not answer.
            PathRejectedError: what it has for this topic is damaged.
        """
        stored = self._known.get(topic) or self._load(topic)
        while new := {one.name.lower(): one for one in wanted if one.name.lower() not in stored.columns}:
            more = _ColumnSet(stored.number + 1, {**stored.columns, **new})
            stored = more if self._save(topic, more) else self._load(topic)
        self._known[topic] = stored
        return [stored.columns[one.name.lower()] for one in wanted]

    def _load(self, topic: str) -> _ColumnSet:
        folder = f"{self._base}/{topic}"
        numbers = [int(match[1]) for entry in self._store.list(folder) if (match := _FILE_NAME.fullmatch(entry.name))]
        if not numbers:
            return _ColumnSet(0, {})
        path = f"{folder}/columns.{max(numbers)}.json"
        try:
            parsed = json.loads(self._store.read(path))
            columns = [Column(one["name"], ColumnType[one["kind"]], tuple(one["path"])) for one in parsed]
            return _ColumnSet(max(numbers), {one.name.lower(): one for one in columns})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise PathRejectedError(
                f"{self._store.name}/{path}: holds no columns of an importer; put a copy of it back, or remove it to"
                " take the types of the topic's columns from its next file on"
            ) from None

    def _save(self, topic: str, stored: _ColumnSet) -> bool:
        folder = f"{self._base}/{topic}"
        content = [{"name": one.name, "kind": one.type.name, "path": one.path} for one in stored.columns.values()]
        hidden = f"{folder}/.columns-{uuid.uuid4().hex}"
        self._store.write(hidden, [json.dumps(content).encode()])
        saved = self._store.rename(hidden, f"{folder}/columns.{stored.number}.json")
        if saved and stored.number > 1:
            self._store.remove(f"{folder}/columns.{stored.number - 1}.json")
        elif not saved:
            # Another importer was there first.
            self._store.remove(hidden)
        return saved
