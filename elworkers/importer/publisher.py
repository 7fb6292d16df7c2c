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
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store
from elworkers.importer.success_markers import SuccessMarkers
from elworkers.importer.topic_selection import schema_of

AT_ONCE = 4
"""Partitions that are published at the same time; a chunk of a file of each is in memory."""

_CHECK_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class TopicFolder(NamedTuple):
    """Where what is imported of a topic belongs.

    Attributes:
        folder: of its files, below the base folder.
        topic_id, generation: those of `Manifest`.
    """

    folder: str
    topic_id: str = ""
    generation: str = ""


class _Published(NamedTuple):
    """The result of publishing a range.

    Attributes:
        manifest: of all its files.
        is_stored: whether they are in the store; not where another importer was there first.
        after: records for hours that had been marked as finished.
    """

    manifest: Manifest
    is_stored: bool
    after: int


class Publisher:
    """Publishes ranges on threads of its own, for one importer.

    Args:
        store, journal, markers: of the base folder.
        staging: the files that the ranges are in; dropped when they are done.
        file_format: how files are written.
        metrics: counts `import_records`, `import_files`, `import_after_success` and `import_conflicts`.
        topic_folders: topic → where its files and manifests are; filled by whoever knows them.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        markers: SuccessMarkers,
        staging: StagingFiles,
        file_format: Format,
        metrics: Metrics,
    ) -> None:
        self.topic_folders: dict[str, TopicFolder] = {}
        self._store, self._journal, self._markers = store, journal, markers
        self._staging, self._file_format, self._metrics = staging, file_format, metrics
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="publish")
        self._running: dict[TopicPartition, tuple[PendingRange, Future[_Published]]] = {}
        # Of several threads, so that one may be missed; what counts is that it has changed.
        self._written = 0

    @property
    def busy(self) -> bool:
        """Whether any range is being published."""
        return bool(self._running)

    def has_room(self, partition: TopicPartition) -> bool:
        """Return whether a range of a partition can be begun."""
        return partition not in self._running and len(self._running) < AT_ONCE

    def begin(self, partition: TopicPartition, pending: PendingRange, unfinished: Iterable[str]) -> None:
        """Begin to write a range's files and to publish them.

        Args:
            partition: one that there is room for.
            pending: not to be changed any more.
            unfinished: hours of its topic, those of `Manifest`.
        """
        future = self._threads.submit(self._publish, partition, pending, frozenset(unfinished))
        self._running[partition] = pending, future

    def next(self, heartbeat: Callable[[], None]) -> tuple[Manifest, bool]:
        """Wait for one range; return its manifest, and False where another importer has published it before.

        Args:
            heartbeat: called whenever a file has been written meanwhile.

        Raises:
            RetryableError: it may be in the store or not.
            PathRejectedError: the store rejected just this topic, which it names.
        """
        partition, pending, future = self._wait_for_one(heartbeat)
        try:
            published = future.result()
        except PathRejectedError as error:
            error.topic, error.partition, error.begin = *partition, pending.begin
            raise
        self._count(published)
        return published.manifest, published.is_stored

    def wait_for_all(self, heartbeat: Callable[[], None]) -> None:
        """Wait for all ranges, and ignore their errors; see `next`."""
        while self._running:
            _, _, future = self._wait_for_one(heartbeat)
            if future.exception() is None:
                self._count(future.result())

    def _wait_for_one(self, heartbeat: Callable[[], None]) -> tuple[TopicPartition, PendingRange, Future[_Published]]:
        written = self._written
        while True:
            for partition, (pending, future) in self._running.items():
                if future.done():
                    del self._running[partition]
                    for staging_file in pending.files.values():
                        self._staging.drop(staging_file)
                    return partition, pending, future
            wait([future for _, future in self._running.values()], _CHECK_EVERY_S, FIRST_COMPLETED)
            if self._written != written:
                written = self._written
                heartbeat()

    def _count(self, published: _Published) -> None:
        manifest = published.manifest
        topic, schema = manifest.topic, schema_of(manifest.topic)
        if not published.is_stored:
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
        """Mark hours as finished, each given as topic and hour; return topics whose folder the store rejects, and why.

        Raises:
            RetryableError: some of them may not be marked.
        """
        futures = {
            one: self._threads.submit(self._markers.make, self.topic_folders[one[0]].folder, one[1])
            for one in sorted(hours)
        }
        wait(futures.values())
        rejected: dict[str, str] = {}
        for (topic, _), future in futures.items():
            try:
                future.result()
            except PathRejectedError as error:
                rejected[topic] = str(error)
        return rejected

    def _publish(self, partition: TopicPartition, pending: PendingRange, unfinished: Set[str]) -> _Published:
        hours = {hour_partition.path for hour_partition in pending.files if not hour_partition.prefix}
        topic_folder = self.topic_folders[partition.topic]
        late = {hour for hour in hours if self._markers.has(topic_folder.folder, hour)}
        after = sum(
            staging_file.records
            for hour_partition, staging_file in pending.files.items()
            if hour_partition.path in late
        )
        files = tuple(self._file(staging_file, topic_folder) for staging_file in pending.files.values())
        left = tuple(sorted(unfinished | (hours - late)))
        manifest = Manifest(
            *partition, pending.begin, pending.next, files, left, topic_folder.topic_id, topic_folder.generation
        )
        return _Published(manifest, self._journal.publish(manifest), after)

    def _file(self, staging_file: StagingFile, topic_folder: TopicFolder) -> File:
        topic = staging_file.partition.topic
        temporary = self._journal.temporary(topic, topic_folder.generation)
        size = self._store.write(temporary, self._file_format.encode(staging_file))
        self._written += 1
        which = f"{topic}.{topic_folder.generation}" if topic_folder.generation else topic
        offsets = f"{staging_file.partition.partition}.{staging_file.first}-{staging_file.last}"
        name = f"{which}.{offsets}{self._file_format.suffix}"
        path = f"{topic_folder.folder}/{staging_file.hour_partition.path}/{name}"
        return File(temporary, path, staging_file.first, staging_file.last, staging_file.records, size)

    def close(self) -> None:
        """Wait for the threads to finish, and end them."""
        self._threads.shutdown()
