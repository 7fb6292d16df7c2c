# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds where a group goes on in a topic, or begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import OffsetSpec

from elworkers.connectors.kafka.confluent.admin import Admin
from elworkers.connectors.kafka.confluent.committed import Committed, read_settled
from elworkers.connectors.kafka.confluent.errors import translate_errors
from elworkers.connectors.kafka.confluent.lookups import led_partitions
from elworkers.connectors.kafka.topic_identity import TopicIdentity
from elworkers.core.contracts import TopicPartition

_LATEST = -1

log = structlog.get_logger(__name__)


class Starts:
    """Finds positions of newly assigned partitions.

    Args:
        admin: asks how far partitions go, and the group.
        identity: of the topic.
        topic, group: their names.
        options: of a `kafka:` URI as an input, typed.
        partitions: how many the topic has.

    Attributes:
        begun: partitions of the last `positions` that the group has not committed; the caller commits them.
        pending: partitions of the last `positions` of which an open transaction has offsets.
    """

    def __init__(
        self,
        admin: Admin,
        identity: TopicIdentity,
        topic: str,
        group: str,
        options: Mapping[str, Any],
        partitions: int,
    ) -> None:
        self._lookups = admin.lookups
        self._group_offsets = admin.group_offsets
        self._identity = identity
        self._topic = topic
        self._group = group
        self._latest = options["auto_offset_reset"] == _LATEST
        self._uses_default = options["auto_offset_reset"] is None
        self._ignores_committed: bool = options["reset_offset_on_start"]
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self.begun: dict[TopicPartition, int] = {}
        self.pending: frozenset[TopicPartition] = frozenset()

    def positions(self, client: Consumer, new: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where partitions go on or begin; without those of which nobody can say that now.

        A group without any offset in the topic begins at `auto_offset_reset`. In one that has some, a partition without
        begins at the earliest: it was added later.

        Raises:
            RetryableError: Kafka does not answer.
        """
        with translate_errors(f"ask for the offsets of group {self._group}", self._lookups.events):
            settled = read_settled(client, new, lambda: self._group_offsets.of(self._group, new))
        self.pending = settled.pending
        found = self._ours(settled.found)
        resets, self._ignores_committed = self._ignores_committed, False
        positions = {} if resets else {one: at.offset for one, at in found.items()}
        missing = [one for one in new if one not in positions and one not in self.pending]
        is_new = bool(missing) and not found and not self._has_others(new) and not self._identity.recreated
        self.begun = self._begin(missing, found, latest=self._latest and (is_new or resets)) if missing else {}
        if resets:
            # Better behind what the group has read than nowhere.
            positions = {one: found[one].offset for one in missing if one in found and one not in self.begun}
        if self.begun and is_new and self._uses_default:
            log.info(
                "a new group begins at the earliest, because auto_offset_reset is not given",
                code="kafka_group_starts_at_earliest",
                group=self._group,
                topic=self._topic,
                partitions=sorted(one.partition for one in self.begun),
            )
        return positions | self.begun

    def _has_others(self, new: Collection[TopicPartition]) -> bool:
        """Return whether the group has committed offsets of other partitions of the topic than these."""
        others = [one for one in self._partitions if one not in new]
        # What their members' transactions are about to commit is not waited for: there is always one.
        return bool(others and self._ours(self._group_offsets.of(self._group, others)))

    def _ours(self, found: Mapping[TopicPartition, Committed]) -> dict[TopicPartition, Committed]:
        return {partition: one for partition, one in found.items() if self._is_ours(partition, one)}

    def _is_ours(self, partition: TopicPartition, one: Committed) -> bool:
        if self._identity.is_of_other_topic(one.metadata):
            self._identity.report_recreated(partition.partition)
            return False
        return True

    def _begin(
        self, missing: Collection[TopicPartition], committed: Collection[TopicPartition], *, latest: bool
    ) -> dict[TopicPartition, int]:
        topic = self._lookups.topic(self._topic)
        led = set(led_partitions(topic)) if topic is not None else set()
        asked = [one for one in missing if one in led]
        earliest = self._lookups.offsets(asked, OffsetSpec.earliest()).found
        if not latest:
            return earliest
        ends = self._lookups.offsets(asked, OffsetSpec.latest()).found
        begun = {one: at for one, at in ends.items() if one in earliest}
        passed_over = sum(at - earliest[one] for one, at in begun.items())
        if passed_over:
            log.warning(
                "a group without offsets begins at the latest; what the topic has is passed over",
                code="kafka_group_starts_at_latest",
                group=self._group,
                topic=self._topic,
                partitions=sorted(one.partition for one in begun),
                messages=passed_over,
            )
        if later := sorted({one.partition for one in missing} - {one.partition for one in (*begun, *committed)}):
            log.warning(
                "a group without offsets begins at the latest; what has no leader now will be read from its earliest",
                code="kafka_group_start_without_leader",
                group=self._group,
                topic=self._topic,
                partitions=later,
            )
        return begun
