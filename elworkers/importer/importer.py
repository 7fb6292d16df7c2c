# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Imports what is new in all matching topics, run after run.

A run:

1. list: which topics there are, and how far each partition reaches now.
2. load: where to go on, from the manifests in the store (`journal`); of topics that are new or were invalidated.
3. read up to there into staging files on the local disk, one for each partition and hour.
4. roll: of each partition with a staging file that is large or old enough, all staging files are written and published
   together, as soon as the partition is read, while others are (`publisher`).
5. mark: an hour that is over, and of which nothing more can come, gets its `_SUCCESS`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from elworkers.connectors.kafka.driver import Fetched, Range, Reader
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.importer.hours import HOUR_MS, HourPartition
from elworkers.importer.journal import Journal
from elworkers.importer.manifest import Manifest
from elworkers.importer.notes import Notes
from elworkers.importer.pending_ranges import PendingRanges
from elworkers.importer.plan import ImportPlan, RunOptions
from elworkers.importer.publisher import Publisher, TopicFolder
from elworkers.importer.quarantine import Quarantine
from elworkers.importer.staging import StagingFiles
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store
from elworkers.importer.success_markers import SuccessMarkers
from elworkers.importer.topic_selection import folders

log = structlog.get_logger(__name__)


class Importer:
    """Imports the topics of one worker.

    Args:
        store: the base folder.
        staging: files on the local disk.
        plan: what it is to do.
        metrics: counts `import_records`, `import_files`, `import_after_success`, `import_conflicts` and
            `kafka_gap_messages`.
        heartbeat: called while files are written, after each that is.
    """

    def __init__(
        self,
        store: Store,
        staging: StagingFiles,
        plan: ImportPlan,
        metrics: Metrics,
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._staging = staging
        self._selection, bucketer, file_format, self._roll_policy = plan
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._journal = Journal(store, self._recovered)
        self._markers = SuccessMarkers(store)
        self._publisher = Publisher(store, self._journal, self._markers, staging, file_format, metrics)
        self._loaded: set[str] = set()
        self._pending = PendingRanges(staging, bucketer, metrics)
        self._unfinished: dict[str, set[str]] = {}
        self._quarantine = Quarantine(metrics, Notes(store))
        self._disk_full = False

    def _recovered(self, manifest: Manifest) -> None:
        self._publisher.count_files(manifest)

    def invalidate(self) -> None:
        """Read the store's state again before anything more is written, because something has failed."""
        self._loaded.clear()
        self._store.forget_folders()
        self._markers.forget()

    def run(
        self,
        reader: Reader,
        keep_going: Callable[[int, int], bool],
        everything: bool = False,
        now_ms: int = 0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """Import what there is now; returns how many of these messages are not in the store afterwards.

        Args:
            reader: of the cluster.
            keep_going: told how many messages are read of how many; the run ends early where it says no.
            everything: close all files at the end, whatever their age.
            now_ms: the time, in ms since the epoch; 0 for that of the clock.
            stopped: asked at the end; where it is true, files that are due stay unwritten, and are read again.

        Raises:
            RetryableError: Kafka, the store or the local disk is away; `invalidate` comes next.
        """
        run = RunOptions(reader, keep_going, everything, now_ms or int(time.time() * 1000), stopped)
        self._markers.refresh()
        try:
            return self._run(run)
        finally:
            # Of a run that failed.
            self._publisher.wait_for_all(self._heartbeat)

    def _run(self, run: RunOptions) -> int:
        reader = run.reader
        partitions = reader.partitions()
        self._find_topic_folders({partition.topic for partition in partitions}, reader)
        selected = [partition for partition in partitions if self._selection.has(partition.topic)]
        self._quarantine.restore(self._selection.has)
        self._load({partition.topic for partition in selected})
        if self._disk_full:
            # Staging files are what fills the local disk, if anything of ours does.
            self._roll_files(self._pending, run._replace(everything=True))
            self._finish()
            self._disk_full = False
        ranges = reader.ranges(selected)
        all_read = self._read(run, ranges)
        if run.everything or not run.stopped():
            self._roll_files(self._pending, run)
        self._finish()
        if all_read:
            self._mark_finished_hours(selected, ranges, run.now_ms)
        left = {partition: self._pending.left(partition, offset_range) for partition, offset_range in ranges.items()}
        self._quarantine.resume_tried(
            {one.topic for one, count in left.items() if count and one not in reader.unreadable}
        )
        # Of a partition that nobody leads at the moment nobody knows how much there is.
        unknown = len(selected) - len(ranges)
        return unknown + sum(left.values())

    def _read(self, run: RunOptions, ranges: Mapping[TopicPartition, Range]) -> bool:
        """Stage what these ranges have, and publish what is large or old enough; return whether all of it was read."""
        to_read = self._pending.to_read({one: ranges[one] for one in ranges if not self._quarantine.has(one.topic)})
        total = sum(offset_range.end - offset_range.begin for offset_range in to_read.values())
        done = 0
        if not run.keep_going(done, total):
            return False
        all_read = True
        with contextlib.closing(run.reader.read(to_read)) as answers:
            for fetched in answers:
                self._stage(fetched, run.now_ms)
                done += fetched.next - fetched.begin
                all_read = run.keep_going(done, total)
                if not all_read:
                    break
                if fetched.next >= to_read[fetched.partition].end and not run.stopped():
                    self._roll_files([fetched.partition], run)
        readable = {one for one in ranges if all_read and not self._quarantine.has(one.topic)}
        self._quarantine.report_unreadable({**run.reader.unavailable, **run.reader.unreadable}, readable)
        return all_read

    def _find_topic_folders(self, topics: Iterable[str], reader: Reader) -> None:
        folder_names = folders(topic for topic in topics if self._selection.matches(topic))
        ids = reader.topic_ids([topic for topic in folder_names if self._selection.has(topic)])
        for topic, folder in folder_names.items():
            before = self._publisher.topic_folders.get(topic)
            topic_id = ids.get(topic, before.topic_id if before else "")
            if before is None or (before.folder, before.topic_id) != (folder, topic_id):
                if before is not None and before.topic_id:
                    self._end_topic(topic)
                self._publisher.topic_folders[topic] = TopicFolder(
                    folder, topic_id, before.generation if before else ""
                )
                self._loaded.discard(topic)

    def _end_topic(self, topic: str) -> None:
        """Publish what was read of a topic that was deleted: nobody can read it again."""
        for partition in self._pending.of_topic(topic):
            if self._pending[partition].files and not self._quarantine.has(topic):
                self._publish(partition)
        self._finish()
        self._pending.remove(topic)

    def _load(self, topics: Iterable[str]) -> None:
        for topic in sorted(set(topics) - self._loaded):
            if not self._quarantine.may_retry(topic):
                continue
            try:
                self._load_topic(topic)
            except PathRejectedError as error:
                self._quarantine_topic(topic, str(error))
            else:
                self._quarantine.try_again(topic)

    def _load_topic(self, topic: str) -> None:
        topic_folder = self._publisher.topic_folders[topic]
        generation = self._journal.generation(topic, topic_folder.topic_id)
        manifests = self._journal.load(topic, generation)
        if generation and not manifests:
            self._metrics.count("import_recreated", topic=topic)
            log.warning(
                "the topic was deleted and made again; importing it from its first message on",
                code="topic_recreated",
                topic=topic,
            )
        self._publisher.topic_folders[topic] = topic_folder._replace(generation=generation)
        hours = self._unfinished.setdefault(topic, set())
        for manifest in manifests.values():
            hours.update(manifest.unfinished)
        self._pending.align(topic, {number: manifest.next for number, manifest in manifests.items()})
        self._loaded.add(topic)

    def _quarantine_topic(self, topic: str, why: str) -> None:
        """Put a topic in quarantine: what was read of it but not published is read again later."""
        self._quarantine.add(topic, why)
        self._loaded.discard(topic)
        self._pending.abandon(topic)

    def _stage(self, fetched: Fetched, now_ms: int) -> None:
        partition = fetched.partition
        if self._quarantine.has(partition.topic):
            return
        try:
            self._pending.stage(fetched, now_ms)
        except RetryableError:
            self._disk_full = True
            raise
        if any(one.size >= self._roll_policy.size for one in self._pending[partition].files.values()):
            self._publish(partition)

    def _roll_files(self, partitions: Iterable[TopicPartition], run: RunOptions) -> None:
        for partition in partitions:
            if self._quarantine.has(partition.topic):
                continue
            pending = self._pending[partition]
            # Only a file that is published shows that a topic goes on.
            at_once = run.everything or self._quarantine.is_tried(partition.topic)
            if (at_once and pending.next > pending.begin) or pending.should_roll(self._roll_policy, run.now_ms):
                self._publish(partition)

    def _publish(self, partition: TopicPartition) -> None:
        pending = self._pending[partition]
        self._collect(lambda: self._publisher.has_room(partition))
        if self._pending[partition] is not pending or self._quarantine.has(partition.topic):
            # What came before it was another importer's, or was rejected.
            return
        self._publisher.begin(partition, pending, self._unfinished[partition.topic])
        self._pending.begin(partition, pending.next, published=time.monotonic())

    def _collect(self, until: Callable[[], bool]) -> None:
        while not until():
            try:
                manifest, is_stored = self._publisher.next(self._heartbeat)
            except PathRejectedError as error:
                self._quarantine_topic(error.topic, str(error))
                self._pending.begin(TopicPartition(error.topic, error.partition), error.begin)
                continue
            topic = manifest.topic
            if is_stored:
                self._unfinished[topic].update(manifest.unfinished)
                continue
            self._finish()
            self._loaded.discard(topic)
            self._load([topic])

    def _finish(self) -> None:
        self._collect(lambda: not self._publisher.busy)

    def _mark_finished_hours(
        self, partitions: Iterable[TopicPartition], ranges: Mapping[TopicPartition, Range], now_ms: int
    ) -> None:
        behind, staged = self._pending.behind(partitions, ranges), self._pending.staged_hours()
        over = HourPartition((now_ms - self._roll_policy.grace_ms) // HOUR_MS).path
        finished = [
            (topic, hour)
            for topic, hours in self._unfinished.items()
            for hour in hours
            if topic in self._loaded and topic not in behind and hour < over and (topic, hour) not in staged
        ]
        rejected = self._publisher.mark(finished)
        for topic, hour in finished:
            if topic not in rejected:
                self._unfinished[topic].discard(hour)
        for topic, why in rejected.items():
            self._quarantine_topic(topic, why)

    def close(self) -> None:
        """Drop what was not published; the next process reads it again."""
        self._publisher.close()
        self._staging.close()
