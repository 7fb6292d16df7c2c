# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Commits offsets by librdkafka, and tells a refusal from an outage."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from elworkers.connectors.kafka.confluent.bounded import Bounded
from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.confluent.errors import translated
from elworkers.connectors.kafka.topic_identity import TopicIdentity

_MOVED_ON = frozenset(
    (
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._FENCED,
    )
)
_AGAIN = frozenset(
    (
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError._WAIT_COORD,
    )
)
"""Codes after which the same commit may succeed: the next heartbeat brings the member's new epoch."""

_REBALANCING = frozenset((KafkaError.REBALANCE_IN_PROGRESS, KafkaError.STALE_MEMBER_EPOCH))
_WITHIN_S, _PAUSE_S = 10.0, 0.05
_ANSWER_WITHIN_S = 15.0
"""Seconds after which a commit is taken for lost: longer than another broker takes to become the coordinator."""

log = structlog.get_logger(__name__)


class Commits:
    """Commits the offsets of a member.

    Args:
        events: of its client.
        topic: its name.
        identity: of the topic; each commit names its id.
    """

    def __init__(self, events: ClientEvents, topic: str, identity: TopicIdentity) -> None:
        self._events = events
        self._topic = topic
        self._identity = identity
        self._bounded = Bounded()

    def commit(self, client: Consumer, positions: Mapping[int, int], *, in_callback: bool = False) -> bool:
        """Commit for each partition the offset to read next.

        Args:
            client: the member's.
            positions: by partition.
            in_callback: called by librdkafka, where another thread's call would wait for the end of this one's.

        Returns:
            False where the group has moved on without this member.

        Raises:
            RetryableError: nothing may have been committed.
        """
        metadata = self._identity.metadata().decode()
        offsets = [ClientPartition(self._topic, number, offset, metadata) for number, offset in positions.items()]
        deadline = time.monotonic() + _WITHIN_S
        while (error := self._try(client, offsets, in_callback=in_callback)) is not None:
            code = error.code()
            late = time.monotonic() > deadline
            if code in _MOVED_ON or (late and code in _REBALANCING):
                log.warning(
                    "offsets not committed: the group has moved on",
                    code="kafka_commit_rejected",
                    topic=self._topic,
                    reason=error.str(),
                )
                return False
            if late or code not in _AGAIN:
                raise translated(error, f"commit offsets of topic {self._topic}", self._events)
            time.sleep(_PAUSE_S)
        return True

    def _try(self, client: Consumer, offsets: list[ClientPartition], *, in_callback: bool) -> KafkaError | None:
        def call() -> list[ClientPartition] | None:
            return client.commit(offsets=offsets, asynchronous=False)

        try:
            answers = call() if in_callback else self._bounded.call(call, _ANSWER_WITHIN_S)
        except TimeoutError:
            return KafkaError(KafkaError._TIMED_OUT)
        except KafkaException as error:
            found: KafkaError = error.args[0]
            return found
        return next((one.error for one in answers or () if one.error is not None), None)

    def close(self) -> None:
        """End the thread that waits for answers."""
        self._bounded.close()
