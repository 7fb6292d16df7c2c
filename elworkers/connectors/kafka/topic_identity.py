# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks by Kafka's topic id whether a topic is still the one that was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import structlog

from elworkers.core.contracts import Metrics
from elworkers.core.errors import RetryableError

_METADATA = re.compile(rb"topic_id=([0-9a-f]{32})")

log = structlog.get_logger(__name__)

_topic_ids: dict[tuple[str, str], str] = {}
"""Cluster and topic → the id of what this process reads, or has read."""


class TopicIdentity:
    """Identifies the topic that a consumer reads, as its name may be given to another one at any time.

    Args:
        fetch_ids: `driver.Admin.topic_ids`; the default: the topic is not known by more than its name.
        cluster_name, topic: as in `contracts.Assignment`.
        metrics: counts `topics_recreated`.

    Attributes:
        topic_id: 32 hex digits; empty where the brokers tell none.
        recreated: it is another topic than the one of this name that was read before.
    """

    def __init__(
        self,
        fetch_ids: Callable[[Sequence[str]], Mapping[str, str]] = lambda _: {},
        cluster_name: str = "",
        topic: str = "",
        metrics: Metrics | None = None,
    ) -> None:
        self._fetch_ids = fetch_ids
        self._key = cluster_name, topic
        self._topic = topic
        self._metrics = metrics
        self.topic_id = ""
        self.recreated = False

    @property
    def was_read(self) -> bool:
        """Whether this process has read a topic of this name already."""
        return self._key in _topic_ids

    def remember(self) -> None:
        """Remember the id of the topic that has this name now.

        Raises:
            RetryableError: Kafka does not answer.
        """
        self.topic_id = self._fetch_id()
        if self.topic_id and _topic_ids.get(self._key, self.topic_id) not in ("", self.topic_id):
            self.report_recreated()
        _topic_ids[self._key] = self.topic_id

    def check(self) -> None:
        """Check that the topic is still the one that was found.

        Raises:
            RetryableError: it is not, or Kafka does not answer.
        """
        if not self.topic_id:
            return
        current = self._fetch_id()
        if not current:
            raise RetryableError(f"Kafka: topic {self._topic} was deleted while it was read")
        if current != self.topic_id:
            raise RetryableError(
                f"Kafka: topic {self._topic} was deleted and made again; reading it from its beginning"
            )

    def _fetch_id(self) -> str:
        return self._fetch_ids([self._topic]).get(self._topic, "")

    def metadata(self) -> bytes:
        """Return the metadata of a commit."""
        return f"topic_id={self.topic_id}".encode() if self.topic_id else b""

    def is_of_other_topic(self, metadata: bytes) -> bool:
        """Return whether a commit was made for another topic of this name; False where it does not say.

        Args:
            metadata: of the commit; librdkafka writes a NUL behind it, and reads whatever is behind it in memory.
        """
        match = _METADATA.match(bytes(metadata or b""))
        return match is not None and bool(self.topic_id) and match[1].decode() != self.topic_id

    def report_recreated(self, partition: int | None = None) -> None:
        """Report once that the topic is not the one that was read before.

        Args:
            partition: of which the group has an offset of the topic before.
        """
        if self.recreated:
            return
        self.recreated = True
        if self._metrics is not None:
            self._metrics.count("topics_recreated", topic=self._topic)
        log.error(
            "topic was deleted and made again; reading it from its beginning",
            code="topic_recreated",
            topic=self._topic,
            partition=partition,
        )
