# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads how far an importer is with each of its topics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from elworkers.connectors.kafka.driver import Range, Reader
from elworkers.core.contracts import TopicPartition
from elworkers.importer.journal import Journal
from elworkers.importer.manifest import Manifest, ManifestName, folder_of, latest, manifest_names
from elworkers.importer.storage_errors import PathRejectedError
from elworkers.importer.store import Store
from elworkers.importer.success_markers import SuccessMarkers
from elworkers.importer.topic_selection import TopicSelection, folders


class Row(NamedTuple):
    """How far one topic is imported.

    Attributes:
        head: messages that its partitions have ever had.
        imported: the sum of the offsets to go on from.
        lag: messages that are there and not imported.
        last_file: the path of the last file that was given its name; empty where there is none.
        last_finished: the last hour with a `_SUCCESS` mark, as far as the newest manifests tell; empty where none.
        unfinished: hours that have files but no mark.
        fault: why its manifests cannot be read; empty where they can.
    """

    topic: str
    head: int
    imported: int
    lag: int
    last_file: str
    last_finished: str
    unfinished: int
    fault: str = ""


def rows(reader: Reader, store: Store, selection: TopicSelection) -> list[Row]:
    """Return one row for each topic, and change nothing.

    Raises:
        RetryableError: Kafka or the store does not answer.
    """
    everything = reader.partitions()
    partitions = [partition for partition in everything if selection.has(partition.topic)]
    folder_names = folders({partition.topic for partition in everything if selection.matches(partition.topic)})
    ids = reader.topic_ids(sorted({partition.topic for partition in partitions}))
    ranges = reader.ranges(partitions)
    journal, markers = Journal(store), SuccessMarkers(store)
    by_topic: dict[str, list[TopicPartition]] = {}
    for partition in partitions:
        by_topic.setdefault(partition.topic, []).append(partition)
    made: list[Row] = []
    for topic, held in sorted(by_topic.items()):
        reached = {one: ranges[one] for one in held if one in ranges}
        try:
            folder = folder_of(topic, journal.generation(topic, ids.get(topic, "")))
            last = latest(manifest_names(store.list(folder)))
            manifests = [journal.read(folder, topic, one) for one in last.values()]
            made.append(_row(topic, folder_names[topic], reached, last, manifests, markers))
        except PathRejectedError as error:
            lag = sum(offset_range.end - offset_range.begin for offset_range in reached.values())
            made.append(
                Row(topic, sum(offset_range.end for offset_range in reached.values()), 0, lag, "", "", 0, str(error))
            )
    return made


def _row(
    topic: str,
    folder: str,
    ranges: Mapping[TopicPartition, Range],
    last: Mapping[int, ManifestName],
    manifests: Iterable[Manifest],
    markers: SuccessMarkers,
) -> Row:
    nexts = {number: one.next or 0 for number, one in last.items()}
    lag = sum(
        max(0, offset_range.end - max(nexts.get(partition.partition, 0), offset_range.begin))
        for partition, offset_range in ranges.items()
    )
    files = [file.path for manifest in manifests for file in manifest.files]
    hours = sorted({hour for manifest in manifests for hour in (*manifest.unfinished, *_hours(manifest, folder))})
    finished = [hour for hour in hours if markers.has(folder, hour)]
    return Row(
        topic,
        sum(offset_range.end for offset_range in ranges.values()),
        sum(nexts.values()),
        lag,
        max(files, key=_newness, default=""),
        finished[-1] if finished else "",
        len(hours) - len(finished),
    )


def _newness(path: str) -> tuple[bool, str]:
    _, _, below = path.partition("/")
    return below[:1].isdigit(), below


def _hours(manifest: Manifest, folder: str) -> Iterable[str]:
    below = {file.path.rpartition("/")[0].removeprefix(f"{folder}/") for file in manifest.files}
    return {folder for folder in below if folder[:1].isdigit()}
