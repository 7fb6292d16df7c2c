# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides where a consumer of pykafka begins each partition, and commits its positions.

* Nothing is committed but what the loop hands over, and a commit that fails says so.
* A partition that stays with this consumer goes on where the loop is, not at the last commit.
* A partition without an offset, in a group that has offsets for the topic, starts at the earliest: it was added.
* So does one without an offset that has no leader: where it ended when the group began, nobody can say later.
* A commit says of which topic it is, by Kafka's id: an offset of a topic that was deleted and made again says nothing.
* Where a log goes on with something that is no message, what is committed is behind it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from pykafka.exceptions import IllegalGeneration, RebalanceInProgress, UnknownMemberId
from pykafka.protocol import PartitionOffsetCommitRequest, PartitionOffsetFetchRequest
from pykafka.simpleconsumer import SimpleConsumer

from elworkers.connectors.kafka.pykafka.library_errors import library_error
from elworkers.connectors.kafka.topic_identity import TopicIdentity

EARLIEST = -2
_NO_OFFSET = -1
_RETRIABLE_CODES = frozenset((5, 9, 56))
"""Kafka's error codes of a partition that cannot be asked for now: no leader, no replica, no disk."""

_REBALANCED_CODES = {error.ERROR_CODE for error in (IllegalGeneration, UnknownMemberId, RebalanceInProgress)}

log = structlog.get_logger(__name__)


class ConsumerPositions(SimpleConsumer):  # type: ignore[misc]
    """A consumer of partitions that a group has given to this process.

    Attributes:
        resume_offsets: partition id → offset to go on from, for partitions held without interruption.
        identity: of the topic, which commits carry.
        skipped: partition id → an offset, and the one behind what is no message there.
        started: partitions of a new group, whose positions were set to where groups begin.
        unpositioned: partitions without an offset of which nobody could say yet where they begin.
        positions_later: whether `unpositioned` ones are left to `reset_positions`; else all wait for them.
    """

    resume_offsets: Mapping[int, int] = {}
    identity = TopicIdentity()
    positions_later = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.skipped: dict[int, tuple[int, int]] = {}
        self.started: set[int] = set()
        self.unpositioned: set[int] = set()
        super().__init__(*args, **kwargs)

    def _setup_partitions_by_leader(self) -> None:
        # Another thread may be looking at what there is.
        by_leader = defaultdict(list)
        for owned in self._partitions_by_id.values():
            by_leader[owned.partition.leader].append(owned)
        self._partitions_by_leader = by_leader

    def skip_to(self, owned: Any, after: int) -> None:
        """Skip offsets without a message; go on at `after`."""
        begin, end = self.skipped.get(owned.partition.id, (0, -1))
        self.skipped[owned.partition.id] = (begin if end == owned.next_offset else owned.next_offset, after)
        owned.next_offset = after

    def commit_offsets(self, partition_offsets: Any = None) -> None:
        """Do nothing: pykafka calls this where nothing was flushed."""

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Commit, for each partition id, the offset to read next.

        Returns:
            False where the group has moved on without this member: the new owners read again.

        Raises:
            KafkaException: nothing may have been committed.
        """
        pending = dict(positions)
        for attempt in range(max(1, self._offsets_commit_max_retries)):
            if not pending:
                return True
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            response = self._group_coordinator.commit_consumer_group_offsets(
                self._consumer_group,
                self.generation_id,
                self.consumer_id,
                [self._commit_request(partition, offset) for partition, offset in pending.items()],
            )
            codes = {partition: part.err for partition, part in response.topics[self.topic.name].items()}
            if set(codes.values()) & _REBALANCED_CODES:
                log.warning(
                    "offsets not committed: the group has moved on",
                    code="kafka_commit_rejected",
                    topic=self.topic.name.decode(),
                )
                return False
            pending = {partition: offset for partition, offset in pending.items() if codes.get(partition)}
            if pending:
                self._discover_group_coordinator()
        if pending:
            code = next(iter(codes.values()))
            raise library_error(code, f"offsets {pending} cannot be committed")
        return True

    def _commit_request(self, partition: int, offset: int) -> Any:
        begin, after = self.skipped.get(partition, (_NO_OFFSET, _NO_OFFSET))
        offset = after if offset == begin else offset
        now_ms = int(time.time() * 1000)
        return PartitionOffsetCommitRequest(self.topic.name, partition, offset, now_ms, self.identity.metadata())

    def fetch_offsets(self) -> list[Any]:
        """Set the position of each held partition: where the loop is, the committed offset, or where groups begin."""
        committed = self._committed()
        group_is_new = not self.identity.recreated and all(offset == _NO_OFFSET for offset in committed.values())
        missing = []
        for partition, owned in self._partitions_by_id.items():
            # Where another member was further while this one was away unnoticed, its commit counts.
            offset = max(self.resume_offsets.get(partition, _NO_OFFSET), committed.get(partition, _NO_OFFSET))
            if offset == _NO_OFFSET:
                missing.append(partition)
            else:
                owned.set_offset(offset - 1)
        limit_type = self._auto_offset_reset if group_is_new else EARLIEST
        skipped_count = self.reset_positions(missing, limit_type)
        if group_is_new:
            self.started = set(missing) - self.unpositioned
        if limit_type != EARLIEST:
            self._log_skipped(missing, skipped_count)
        return []

    def reset_offsets(self, *_: Any, **__: Any) -> None:
        """Set every position to where groups begin, whatever was committed; pykafka calls this at the start."""
        self.reset_positions(self._partitions_by_id, self._auto_offset_reset)
        if self.unpositioned and self._auto_offset_reset != EARLIEST:
            # Better behind what the group has read than at the earliest.
            committed = self._committed()
            for partition in [one for one in self.unpositioned if committed.get(one, _NO_OFFSET) != _NO_OFFSET]:
                self._partitions_by_id[partition].set_offset(committed[partition] - 1)
                self.unpositioned.discard(partition)

    def reset_positions(self, partitions: Iterable[int], limit_type: int = EARLIEST) -> int:
        """Set positions to the earliest or latest offset, and commit that; what cannot be set is `unpositioned`.

        Returns:
            How many messages are before these offsets.

        Raises:
            KafkaException: a broker does not say where a partition begins, or nothing may have been committed.
        """
        requested = list(partitions)
        if not requested:
            return 0
        limits_by_partition = self.topic.fetch_offset_limits(limit_type)
        earliest = limits_by_partition if limit_type == EARLIEST else self.topic.fetch_offset_limits(EARLIEST)
        begin: dict[int, int] = {}
        skipped_count = 0
        for partition in requested:
            if (
                self.positions_later
                and {limits_by_partition[partition].err, earliest[partition].err} & _RETRIABLE_CODES
            ):
                self.unpositioned.add(partition)
                continue
            begin[partition] = _offset(partition, limits_by_partition)
            skipped_count += begin[partition] - _offset(partition, earliest)
            self._partitions_by_id[partition].set_offset(begin[partition] - 1)
        if begin:
            # Without this a group that starts at the latest offset and sees no event would, after a restart, skip
            # what came in between.
            self.commit(begin)
        self.unpositioned.difference_update(begin)
        return skipped_count

    def _log_skipped(self, started: Iterable[int], messages: int) -> None:
        names = {"group": self._consumer_group.decode(), "topic": self.topic.name.decode()}
        if messages:
            log.warning(
                "a group without offsets begins at the latest; what the topic has is passed over",
                code="kafka_group_starts_at_latest",
                **names,
                partitions=sorted(set(started) - self.unpositioned),
                messages=messages,
            )
        if self.unpositioned:
            log.warning(
                "a group without offsets begins at the latest; what has no leader now will be read from its earliest",
                code="kafka_group_start_without_leader",
                **names,
                partitions=sorted(self.unpositioned),
            )

    def _committed(self) -> dict[int, int]:
        requests = [PartitionOffsetFetchRequest(self.topic.name, partition) for partition in self.topic.partitions]
        for attempt in range(max(1, self._offsets_fetch_max_retries)):
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            response = self._group_coordinator.fetch_consumer_group_offsets(self._consumer_group, requests)
            found = response.topics[self.topic.name]
            errors = {part.err for part in found.values()} - {0}
            if not errors:
                return {partition: self._of_this_topic(partition, part) for partition, part in found.items()}
            self._update()
        raise library_error(errors.pop(), "committed offsets cannot be read")

    def _of_this_topic(self, partition: int, part: Any) -> int:
        if self.identity.is_of_other_topic(part.metadata):
            self.identity.report_recreated(partition)
            return _NO_OFFSET
        return int(part.offset)

    def offset_limit(self, partition: int, limit_type: int) -> int:
        """Return the earliest or the latest offset of a partition.

        Raises:
            KafkaException: the broker does not say.
        """
        return _offset(partition, self.topic.fetch_offset_limits(limit_type))


def _offset(partition: int, limits: Mapping[int, Any]) -> int:
    limit = limits[partition]
    if limit.err:
        raise library_error(limit.err, f"the broker does not say where partition {partition} begins or ends")
    return int(limit.offset[0])
