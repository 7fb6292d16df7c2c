# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Describes what is imported of a partition in one go, by name and by content."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from elworkers.importer.store import Entry

FOLDER = "_importer"
"""Folder of the manifests. Readers of the base folder skip names that begin with `_` or `.`, as Hadoop's do."""

_MANIFEST = re.compile(r"([0-9]+)\.([0-9]+)(?:-([0-9]+))?\.json")


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
        unfinished: hours (`HourPartition.path`) of the topic that have files but no `_SUCCESS` mark yet.
        topic_id: Kafka's id of the topic, 32 hex digits; empty where it was not known.
        generation: the first digits of that id, where the topic was deleted and made again since it was imported first;
            else empty. Its offsets have begun anew, and its manifests and files would have the names of earlier ones.
    """

    topic: str
    partition: int
    begin: int
    next: int
    files: tuple[File, ...] = ()
    unfinished: tuple[str, ...] = ()
    topic_id: str = ""
    generation: str = ""

    @property
    def folder(self) -> str:
        """The folder of its topic's manifests."""
        return folder_of(self.topic, self.generation)

    @property
    def opened(self) -> str:
        """Its path until its files have their names."""
        return f"{self.folder}/{self.partition}.{self.begin}.json"

    @property
    def done(self) -> str:
        """Its path when its files have their names."""
        return f"{self.folder}/{self.partition}.{self.begin}-{self.next}.json"


def folder_of(topic: str, generation: str = "") -> str:
    """Return the folder of a topic's manifests; `@` stands in no topic's name.

    Args:
        topic: the topic.
        generation: see `Manifest`.
    """
    return f"{FOLDER}/{topic}@{generation}" if generation else f"{FOLDER}/{topic}"


class ManifestName(NamedTuple):
    """A manifest by its name alone; `next` is None until its files have their names."""

    partition: int
    begin: int
    next: int | None
    name: str


def manifest_names(entries: Iterable[Entry]) -> list[ManifestName]:
    """Return the manifests in a topic's folder."""
    matches = [_MANIFEST.fullmatch(entry.name) for entry in entries]
    return [
        ManifestName(int(match[1]), int(match[2]), None if match[3] is None else int(match[3]), match[0])
        for match in matches
        if match
    ]


def latest(manifests: Iterable[ManifestName]) -> dict[int, ManifestName]:
    """Return the last manifest of each partition whose files have their names."""
    last: dict[int, ManifestName] = {}
    for one in manifests:
        if one.next is not None and (one.partition not in last or one.next > (last[one.partition].next or 0)):
            last[one.partition] = one
    return last
