# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores on threads what was read, while more is read.

A few partitions at a time, in a thread each, which writes its files and then publishes its manifest. No more than one
manifest of a partition is under way, so that they keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import structlog

from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.importer.compression import Format
from elworkers.importer.journal import Journal
from elworkers.importer.manifest import File, Manifest
from elworkers.importer.pending_range import PendingRange
from elworkers.importer.staging import StagingFile, StagingFiles
from elworkers.importer.storage_errors import PathRefusedError
from elworkers.importer.store import Store
from elworkers.importer.success_markers import SuccessMarkers
from elworkers.importer.topic_selection import schema_of

AT_ONCE = 4
"""Partitions under way. Mostly they wait for answers of the store; a chunk of a file of each is in memory."""

_LOOK_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class TopicFolder(NamedTuple):
    """Where what is imported of a topic belongs.

    Attributes:
        folder: of its files, below the base folder.
        topic_id, again: those of `Manifest`.
    """

    folder: str
    topic_id: str = ""
    again: str = ""


class _Published(NamedTuple):
    """What has become of a range.

    Attributes:
        manifest: of all its files.
        there: whether they are in the store; not where another importer was there first.
        after: records for hours that had been marked as finished.
    """

    manifest: Manifest
    there: bool
    after: int


class Publisher:
    """The threads of one importer.

    Args:
        store, journal, marks: of the base folder.
        drafts: that the ranges are in; dropped when they are done.
        form: how files are written.
        metrics: counts `import_records`, `import_files`, `import_after_success` and `import_conflicts`.
        places: topic → where its files and manifests are; filled by whoever knows them.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        marks: SuccessMarkers,
        drafts: StagingFiles,
        form: Format,
        metrics: Metrics,
    ) -> None:
        self.places: dict[str, TopicFolder] = {}
        self._store, self._journal, self._marks = store, journal, marks
        self._drafts, self._form, self._metrics = drafts, form, metrics
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="publish")
        self._going: dict[TopicPartition, tuple[PendingRange, Future[_Published]]] = {}
        # Of several threads, so that one may be missed; what counts is that it has changed.
        self._written = 0

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._going)

    def has_room(self, partition: TopicPartition) -> bool:
        """Return whether a range of a partition can be begun."""
        return partition not in self._going and len(self._going) < AT_ONCE

    def begin(self, partition: TopicPartition, stretch: PendingRange, unfinished: Iterable[str]) -> None:
        """Begin to write a range's files and to publish them.

        Args:
            partition: one that there is room for.
            stretch: not to be changed any more.
            unfinished: hours of its topic, those of `Manifest`.
        """
        future = self._threads.submit(self._publish, partition, stretch, frozenset(unfinished))
        self._going[partition] = stretch, future

    def next(self, alive: Callable[[], None]) -> tuple[Manifest, bool]:
        """Wait for one to be done; says whether it is in the store, or another importer was there first.

        Args:
            alive: called whenever a file has been written meanwhile.

        Raises:
            RetryableError: it may be in the store or not.
            PathRefusedError: the store refused just this topic, which it names.
        """
        partition, stretch, future = self._done(alive)
        try:
            published = future.result()
        except PathRefusedError as error:
            error.topic, error.partition, error.begin = *partition, stretch.begin
            raise
        self._count(published)
        return published.manifest, published.there

    def wait_for_all(self, alive: Callable[[], None]) -> None:
        """Wait for all to be done, and never mind how far they come; see `next`."""
        while self._going:
            _, _, future = self._done(alive)
            if future.exception() is None:
                self._count(future.result())

    def _done(self, alive: Callable[[], None]) -> tuple[TopicPartition, PendingRange, Future[_Published]]:
        written = self._written
        while True:
            for partition, (stretch, future) in self._going.items():
                if future.done():
                    del self._going[partition]
                    for draft in stretch.drafts.values():
                        self._drafts.drop(draft)
                    return partition, stretch, future
            wait([future for _, future in self._going.values()], _LOOK_EVERY_S, FIRST_COMPLETED)
            if self._written != written:
                written = self._written
                alive()

    def _count(self, published: _Published) -> None:
        manifest = published.manifest
        topic, schema = manifest.topic, schema_of(manifest.topic)
        if not published.there:
            log.error(
                "another importer writes to the same folder",
                code="import_conflict",
                topic=topic,
                partition=manifest.partition,
            )
            self._metrics.count("import_conflicts")
            return
        if published.after:
            self._metrics.count("import_after_success", published.after, schema=schema)
        self.count_files(manifest)
        log.info(
            "imported",
            code="import_published",
            topic=topic,
            partition=manifest.partition,
            up_to=manifest.next,
            files=len(manifest.files),
            records=sum(file.records for file in manifest.files),
        )

    def count_files(self, manifest: Manifest) -> None:
        """Count what files of a manifest have their names now."""
        schema = schema_of(manifest.topic)
        self._metrics.count("import_files", len(manifest.files), schema=schema)
        self._metrics.count("import_records", sum(file.records for file in manifest.files), schema=schema)

    def mark(self, hours: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Mark hours as finished, each given as topic and hour; returns topics whose folder refuses it, and why.

        Raises:
            RetryableError: some of them may not be marked.
        """
        futures = {
            one: self._threads.submit(self._marks.make, self.places[one[0]].folder, one[1]) for one in sorted(hours)
        }
        wait(futures.values())
        refused: dict[str, str] = {}
        for (topic, _), future in futures.items():
            try:
                future.result()
            except PathRefusedError as error:
                refused[topic] = str(error)
        return refused

    def _publish(self, partition: TopicPartition, stretch: PendingRange, unfinished: Set[str]) -> _Published:
        hours = {place.path for place in stretch.drafts if not place.aside}
        home = self.places[partition.topic]
        late = {hour for hour in hours if self._marks.has(home.folder, hour)}
        after = sum(draft.records for place, draft in stretch.drafts.items() if place.path in late)
        files = tuple(self._file(draft, home) for draft in stretch.drafts.values())
        left = tuple(sorted(unfinished | (hours - late)))
        manifest = Manifest(*partition, stretch.begin, stretch.next, files, left, home.topic_id, home.again)
        return _Published(manifest, self._journal.publish(manifest), after)

    def _file(self, draft: StagingFile, home: TopicFolder) -> File:
        topic = draft.partition.topic
        temporary = self._journal.temporary(topic, home.again)
        size = self._store.write(temporary, self._form.encode(draft))
        self._written += 1
        which = f"{topic}.{home.again}" if home.again else topic
        name = f"{which}.{draft.partition.partition}.{draft.first}-{draft.last}{self._form.suffix}"
        path = f"{home.folder}/{draft.place.path}/{name}"
        return File(temporary, path, draft.first, draft.last, draft.records, size)

    def close(self) -> None:
        """End the threads, when they have done what they are at."""
        self._threads.shutdown()
