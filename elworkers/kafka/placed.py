"""Where a consumer of pykafka begins each partition, and what it commits.

* Nothing is committed but what the loop hands over, and a commit that fails says so.
* A partition that stays with this consumer goes on where the loop is, not at the last commit.
* A partition without an offset, in a group that has offsets for the topic, starts at the earliest: it was added.
* A commit says of which topic it is, by Kafka's id: an offset of a topic that was deleted and made again says nothing.
* Where a log goes on with something that is no message, what is committed is behind it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from pykafka.exceptions import ERROR_CODES, IllegalGeneration, KafkaException, RebalanceInProgress, UnknownMemberId
from pykafka.protocol import PartitionOffsetCommitRequest, PartitionOffsetFetchRequest
from pykafka.simpleconsumer import SimpleConsumer

from elworkers.kafka.identity import Identity

EARLIEST = -2
_NO_OFFSET = -1
_MOVED_ON = {error.ERROR_CODE for error in (IllegalGeneration, UnknownMemberId, RebalanceInProgress)}

log = structlog.get_logger(__name__)


class Placed(SimpleConsumer):  # type: ignore[misc]
    """A consumer of partitions that a group has given to this process.

    Attributes:
        resume: partition id → offset to go on from, for partitions held without interruption.
        identity: of the topic, which commits carry.
        passed: partition id → an offset, and the one behind what is no message there.
    """

    resume: Mapping[int, int] = {}
    identity = Identity()

    def __init__(self, *words: Any, **keywords: Any) -> None:
        self.passed: dict[int, tuple[int, int]] = {}
        super().__init__(*words, **keywords)

    def pass_over(self, owned: Any, behind: int) -> None:
        """Go on behind something that is no message."""
        begin, end = self.passed.get(owned.partition.id, (0, -1))
        self.passed[owned.partition.id] = (begin if end == owned.next_offset else owned.next_offset, behind)
        owned.next_offset = behind

    def commit_offsets(self, partition_offsets: Any = None) -> None:
        """Do nothing: pykafka calls this where nothing was flushed."""

    def commit(self, positions: Mapping[int, int]) -> None:
        """Commit, for each partition id, the offset to read next.

        Where the group has moved on without this member, nothing is committed: the new owners read again.

        Raises:
            KafkaException: nothing may have been committed.
        """
        pending = dict(positions)
        for attempt in range(max(1, self._offsets_commit_max_retries)):
            if not pending:
                return
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            answer = self._group_coordinator.commit_consumer_group_offsets(
                self._consumer_group,
                self._generation_id,
                self._consumer_id,
                [self._commit_request(partition, offset) for partition, offset in pending.items()],
            )
            codes = {partition: part.err for partition, part in answer.topics[self._topic.name].items()}
            if set(codes.values()) & _MOVED_ON:
                log.warning("offsets not committed: the group has moved on", topic=self._topic.name.decode())
                return
            pending = {partition: offset for partition, offset in pending.items() if codes.get(partition)}
            if pending:
                self._discover_group_coordinator()
        if pending:
            code = next(iter(codes.values()))
            raise ERROR_CODES.get(code, KafkaException)(f"commit of {pending} failed with error code {code}")

    def _commit_request(self, partition: int, offset: int) -> Any:
        begin, behind = self.passed.get(partition, (_NO_OFFSET, _NO_OFFSET))
        offset = behind if offset == begin else offset
        now_ms = int(time.time() * 1000)
        return PartitionOffsetCommitRequest(self._topic.name, partition, offset, now_ms, self.identity.metadata())

    def fetch_offsets(self) -> list[Any]:
        """Place every held partition: where the loop is, where the group was, or where the group begins."""
        committed = self._committed()
        group_is_new = not self.identity.made_anew and all(offset == _NO_OFFSET for offset in committed.values())
        begin: dict[int, int] = {}
        passed_over = 0
        for partition, owned in self._partitions_by_id.items():
            # Where another member was further while this one was away unnoticed, its commit counts.
            offset = max(self.resume.get(partition, _NO_OFFSET), committed.get(partition, _NO_OFFSET))
            if offset == _NO_OFFSET:
                offset = self.edge(partition, self._auto_offset_reset if group_is_new else EARLIEST)
                begin[partition] = offset
                passed_over += offset - self.edge(partition, EARLIEST)
            owned.set_offset(offset - 1)
        if passed_over:
            log.warning(
                "a group without offsets begins at the latest; what the topic has is passed over",
                group=self._consumer_group.decode(),
                topic=self._topic.name.decode(),
                partitions=sorted(begin),
                messages=passed_over,
            )
        if begin:
            # Without this a group that starts at the latest offset and sees no event would, after a restart, skip
            # what came in between.
            self.commit(begin)
        return []

    def _committed(self) -> dict[int, int]:
        requests = [PartitionOffsetFetchRequest(self._topic.name, partition) for partition in self._topic.partitions]
        for attempt in range(max(1, self._offsets_fetch_max_retries)):
            self._cluster.handler.sleep(attempt * self._offsets_channel_backoff_ms / 1000)
            answer = self._group_coordinator.fetch_consumer_group_offsets(self._consumer_group, requests)
            found = answer.topics[self._topic.name]
            errors = {part.err for part in found.values()} - {0}
            if not errors:
                return {partition: self._of_this_topic(partition, part) for partition, part in found.items()}
            self._update()
        raise ERROR_CODES[errors.pop()]("committed offsets cannot be read")

    def _of_this_topic(self, partition: int, part: Any) -> int:
        if self.identity.is_of_another(part.metadata):
            self.identity.was_made_anew(partition)
            return _NO_OFFSET
        return int(part.offset)

    def edge(self, partition: int, which: int) -> int:
        """The earliest or the latest offset of a partition.

        Raises:
            KafkaException: the broker does not say.
        """
        edge = self._topic.fetch_offset_limits(which)[partition]
        if edge.err:
            raise ERROR_CODES[edge.err](f"the broker does not say where partition {partition} begins or ends")
        return int(edge.offset[0])
