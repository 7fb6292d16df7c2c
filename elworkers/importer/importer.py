# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Imports what is new in all matching topics, run after run.

A run:

1. look: which topics there are, and how far each partition reaches now.
2. load: where to go on, from the manifests in the store (`journal`); of topics that are new or in doubt.
3. read up to there into staging files on the local disk, one for each partition and place.
4. close: of each partition with a staging file that is due, all staging files are written and published together, as
   soon as the partition is read, while others are (`publisher`).
5. mark: an hour that is over, and of which nothing more can come, gets its `_SUCCESS`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import structlog

from elworkers.connectors.kafka.driver import Fetched, Range, Reader
from elworkers.core.contracts import Metrics, TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.importer.compression import Format
from elworkers.importer.hour_bucketer import BucketedLines, by_place
from elworkers.importer.hours import HOUR_MS, HourBucketer, HourPartition
from elworkers.importer.journal import Journal
from elworkers.importer.manifest import Manifest
from elworkers.importer.notes import Notes
from elworkers.importer.pending_range import PendingRange, RollPolicy
from elworkers.importer.publisher import Publisher, TopicFolder
from elworkers.importer.quarantine import Quarantine
from elworkers.importer.staging import StagingFiles
from elworkers.importer.storage_errors import PathRefusedError
from elworkers.importer.store import Store
from elworkers.importer.success_markers import SuccessMarkers
from elworkers.importer.topic_selection import TopicSelection, folders, schema_of

log = structlog.get_logger(__name__)


class ImportPlan(NamedTuple):
    """What an importer is to do.

    Attributes:
        selection: of which topics.
        sorter: into which places.
        form: how files are written.
        closing: when.
    """

    selection: TopicSelection
    sorter: HourBucketer
    form: Format
    closing: RollPolicy


class Importer:
    """The work of one worker.

    Args:
        store: the base folder.
        drafts: on the local disk.
        plan: what it is to do.
        metrics: counts `import_records`, `import_files`, `import_after_success`, `import_conflicts` and
            `kafka_gap_messages`.
        alive: called while files are written, after each that is.
    """

    def __init__(
        self,
        store: Store,
        drafts: StagingFiles,
        plan: ImportPlan,
        metrics: Metrics,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._drafts = drafts
        self._selection, self._sorter, form, self._closing = plan
        self._metrics = metrics
        self._alive = alive
        self._journal = Journal(store, self._recovered)
        self._marks = SuccessMarkers(store)
        self._publisher = Publisher(store, self._journal, self._marks, drafts, form, metrics)
        self._loaded: set[str] = set()
        self._stretches: dict[TopicPartition, PendingRange] = {}
        self._unfinished: dict[str, set[str]] = {}
        self._said_beyond: set[TopicPartition] = set()
        self._aside = Quarantine(metrics, Notes(store))
        self._no_room = False

    def _recovered(self, manifest: Manifest) -> None:
        self._publisher.count_files(manifest)

    def in_doubt(self) -> None:
        """Look into the store again before anything more is written: something went wrong on the way."""
        self._loaded.clear()
        self._store.forget_folders()
        self._marks.forget()

    def run(
        self,
        reader: Reader,
        goes_on: Callable[[int, int], bool],
        everything: bool = False,
        now_ms: int = 0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """Import what there is now; returns how many of these messages are not in the store afterwards.

        Args:
            reader: of the cluster.
            goes_on: told how many messages are read of how many; the run ends early where it says no.
            everything: close all files at the end, whatever their age.
            now_ms: the time, in ms since the epoch; 0 for that of the clock.
            stopped: asked at the end; where it is true, files that are due stay unwritten, and are read again.

        Raises:
            RetryableError: Kafka, the store or the local disk is away; `in_doubt` comes next.
        """
        now_ms = now_ms or int(time.time() * 1000)
        self._marks.look_again()
        try:
            return self._run(reader, goes_on, everything, now_ms, stopped)
        finally:
            # Of a run that failed.
            self._publisher.wait_for_all(self._alive)

    def _run(
        self,
        reader: Reader,
        goes_on: Callable[[int, int], bool],
        everything: bool,
        now_ms: int,
        stopped: Callable[[], bool],
    ) -> int:
        partitions = reader.partitions()
        self._find_homes({partition.topic for partition in partitions}, reader)
        there = [partition for partition in partitions if self._selection.has(partition.topic)]
        self._aside.restore(self._selection.has)
        self._load({partition.topic for partition in there})
        if self._no_room:
            # What has been drafted is what fills the local disk, if anything of ours does.
            self._close_due(self._stretches, now_ms, everything=True)
            self._finish()
            self._no_room = False
        ranges = reader.ranges(there)
        to_read = self._to_read({one: reach for one, reach in ranges.items() if not self._aside.has(one.topic)})
        total = sum(reach.end - reach.begin for reach in to_read.values())
        done = 0
        interrupted = not goes_on(0, total)
        if not interrupted:
            with contextlib.closing(reader.read(to_read)) as answers:
                for fetched in answers:
                    self._take(fetched, now_ms)
                    done += fetched.next - fetched.begin
                    if not goes_on(done, total):
                        interrupted = True
                        break
                    if fetched.next >= to_read[fetched.partition].end and not stopped():
                        self._close_due([fetched.partition], now_ms, everything)
            looked_at = {one for one in ranges if not interrupted and not self._aside.has(one.topic)}
            self._aside.say_unreadable({**reader.unavailable, **reader.unreadable}, looked_at)
        if everything or not stopped():
            self._close_due(self._stretches, now_ms, everything)
        self._finish()
        if not interrupted:
            self._mark(there, ranges, now_ms)
        left = {partition: self._left(partition, reach) for partition, reach in ranges.items()}
        self._aside.resume_tried({one.topic for one, count in left.items() if count and one not in reader.unreadable})
        # Of a partition that nobody leads at the moment nobody knows how much there is.
        unknown = len(there) - len(ranges)
        return unknown + sum(left.values())

    def _left(self, partition: TopicPartition, reach: Range) -> int:
        stretch = self._stretches.get(partition, PendingRange(0, 0))
        reached = stretch.next if not stretch.drafts else stretch.begin
        # What was imported further than the topic reaches was of another topic of this name.
        return reach.end - reach.begin if reached > reach.end else max(0, reach.end - max(reached, reach.begin))

    def _find_homes(self, topics: Iterable[str], reader: Reader) -> None:
        places = folders(topic for topic in topics if self._selection.matches(topic))
        ids = reader.topic_ids([topic for topic in places if self._selection.has(topic)])
        for topic, folder in places.items():
            before = self._publisher.places.get(topic)
            topic_id = ids.get(topic, before.topic_id if before else "")
            if before is None or (before.folder, before.topic_id) != (folder, topic_id):
                if before is not None and before.topic_id:
                    self._end(topic)
                self._publisher.places[topic] = TopicFolder(folder, topic_id, before.again if before else "")
                self._loaded.discard(topic)

    def _end(self, topic: str) -> None:
        """Publish what was read of a topic that is no more: nobody can read it again."""
        partitions = [partition for partition in self._stretches if partition.topic == topic]
        for partition in partitions:
            if self._stretches[partition].drafts and not self._aside.has(topic):
                self._publish(partition)
        self._finish()
        for partition in partitions:
            self._abandon(partition)
            del self._stretches[partition]

    def _load(self, topics: Iterable[str]) -> None:
        for topic in sorted(set(topics) - self._loaded):
            if not self._aside.is_due(topic):
                continue
            try:
                self._load_one(topic)
            except PathRefusedError as error:
                self._set_aside(topic, str(error))
            else:
                self._aside.try_again(topic)

    def _load_one(self, topic: str) -> None:
        home = self._publisher.places[topic]
        again = self._journal.again(topic, home.topic_id)
        manifests = self._journal.load(topic, again)
        if again and not manifests:
            self._metrics.count("import_recreated", topic=topic)
            log.warning(
                "the topic was deleted and made again; importing it from its first message on",
                code="topic_recreated",
                topic=topic,
            )
        self._publisher.places[topic] = home._replace(again=again)
        hours = self._unfinished.setdefault(topic, set())
        for manifest in manifests.values():
            hours.update(manifest.unfinished)
        self._compare(topic, {number: manifest.next for number, manifest in manifests.items()})
        self._loaded.add(topic)

    def _set_aside(self, topic: str, why: str) -> None:
        """Leave a topic alone for a while: what was read of it but not published is read again."""
        self._aside.add(topic, why)
        self._loaded.discard(topic)
        for partition in self._stretches:
            if partition.topic == topic:
                self._abandon(partition)

    def _compare(self, topic: str, nexts: Mapping[int, int]) -> None:
        for partition in [partition for partition in self._stretches if partition.topic == topic]:
            if nexts.get(partition.partition, 0) != self._stretches[partition].begin:
                # Published after all, or by another importer: what is in the staging files is there already.
                self._abandon(partition)
                offset = nexts.get(partition.partition, 0)
                self._stretches[partition] = PendingRange(offset, offset)
        for number, offset in nexts.items():
            self._stretches.setdefault(TopicPartition(topic, number), PendingRange(offset, offset))

    def _abandon(self, partition: TopicPartition) -> None:
        stretch = self._stretches[partition]
        for draft in stretch.drafts.values():
            self._drafts.drop(draft)
        stretch.drafts, stretch.next = {}, stretch.begin

    def _to_read(self, ranges: Mapping[TopicPartition, Range]) -> dict[TopicPartition, Range]:
        wanted = {}
        for partition, reach in ranges.items():
            stretch = self._stretches.setdefault(partition, PendingRange(0, 0))
            if stretch.next > reach.end:
                self._say_beyond(partition, stretch.next, reach.end)
                continue
            if stretch.next < reach.begin:
                self._say_gap(partition, stretch, reach.begin)
            if stretch.next < reach.end:
                wanted[partition] = Range(stretch.next, reach.end)
        return wanted

    def _say_gap(self, partition: TopicPartition, stretch: PendingRange, earliest: int) -> None:
        # A topic that is imported for the first time has no gap, whatever was deleted before.
        if stretch.next > 0:
            self._metrics.count("kafka_gap_messages", earliest - stretch.next, topic=partition.topic)
            log.error(
                "messages were deleted before they could be imported; going on at the earliest",
                code="kafka_offset_out_of_range",
                topic=partition.topic,
                partition=partition.partition,
                wanted=stretch.next,
                earliest=earliest,
            )
        stretch.next = earliest

    def _say_beyond(self, partition: TopicPartition, position: int, end: int) -> None:
        if partition not in self._said_beyond:
            self._said_beyond.add(partition)
            log.error(
                "imported further than the topic reaches: it was made anew, and the broker tells no ids of topics; move"
                " its folder in _importer away to begin at its first message",
                code="import_past_end",
                topic=partition.topic,
                partition=partition.partition,
                imported_up_to=position,
                end=end,
            )

    def _take(self, fetched: Fetched, now_ms: int) -> None:
        partition = fetched.partition
        stretch = self._stretches[partition]
        if fetched.begin != stretch.next or self._aside.has(partition.topic):
            # Another importer has published meanwhile, or the store refuses the topic; a later run goes on from there.
            return
        try:
            for place, lines in by_place(self._sorter, schema_of(partition.topic), fetched.messages, now_ms).items():
                self._append(stretch, partition, place, lines)
        except RetryableError:
            # Some places have their lines and some do not; reading them again must not double those.
            self._abandon(partition)
            self._no_room = True
            raise
        stretch.next = fetched.next
        if any(draft.size >= self._closing.size for draft in stretch.drafts.values()):
            self._publish(partition)

    def _append(
        self, stretch: PendingRange, partition: TopicPartition, place: HourPartition, lines: BucketedLines
    ) -> None:
        if not stretch.drafts:
            stretch.since = time.monotonic()
        if place not in stretch.drafts:
            stretch.drafts[place] = self._drafts.begin(partition, place, lines.first)
        texts = lines.texts
        self._drafts.append(stretch.drafts[place], b"\n".join([*texts, b""]), len(texts), lines.last)

    def _close_due(self, partitions: Iterable[TopicPartition], now_ms: int, everything: bool) -> None:
        for partition in list(partitions):
            if self._aside.has(partition.topic):
                continue
            stretch = self._stretches[partition]
            # Only a file that is published shows that a topic goes on.
            at_once = everything or self._aside.is_tried(partition.topic)
            if (at_once and stretch.next > stretch.begin) or stretch.due(self._closing, now_ms):
                self._publish(partition)

    def _publish(self, partition: TopicPartition) -> None:
        stretch = self._stretches[partition]
        self._settle(lambda: self._publisher.has_room(partition))
        if self._stretches[partition] is not stretch or self._aside.has(partition.topic):
            # What came before it was another importer's, or was refused.
            return
        self._publisher.begin(partition, stretch, self._unfinished[partition.topic])
        self._stretches[partition] = PendingRange(stretch.next, stretch.next, published=time.monotonic())

    def _settle(self, enough: Callable[[], bool]) -> None:
        while not enough():
            try:
                manifest, there = self._publisher.next(self._alive)
            except PathRefusedError as error:
                self._set_aside(error.topic, str(error))
                self._stretches[TopicPartition(error.topic, error.partition)] = PendingRange(error.begin, error.begin)
                continue
            topic = manifest.topic
            if there:
                self._unfinished[topic].update(manifest.unfinished)
                continue
            self._finish()
            self._loaded.discard(topic)
            self._load([topic])

    def _finish(self) -> None:
        self._settle(lambda: not self._publisher.busy)

    def _mark(self, there: Iterable[TopicPartition], ranges: Mapping[TopicPartition, Range], now_ms: int) -> None:
        behind = {
            partition.topic
            for partition in there
            if partition not in ranges
            or self._aside.has(partition.topic)
            or self._stretches[partition].next < ranges[partition].end
        }
        drafted = {
            (partition.topic, place.path) for partition, stretch in self._stretches.items() for place in stretch.drafts
        }
        over = HourPartition((now_ms - self._closing.grace_ms) // HOUR_MS).path
        finished = [
            (topic, hour)
            for topic, hours in self._unfinished.items()
            for hour in hours
            if topic not in behind and hour < over and (topic, hour) not in drafted and topic in self._loaded
        ]
        refused = self._publisher.mark(finished)
        for topic, hour in finished:
            if topic not in refused:
                self._unfinished[topic].discard(hour)
        for topic, why in refused.items():
            self._set_aside(topic, why)

    def close(self) -> None:
        """Forget what was not published; it is read again."""
        self._publisher.close()
        self._drafts.close()
