# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Groups records by the topics that they go to."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

from elworkers.connectors.kafka.producer_protocol import TopicName
from elworkers.core.contracts import OwnTopic, Record


class RecordsByTopic:
    """Collects records by topic until all of them are sent."""

    def __init__(self) -> None:
        self.unkeyed: defaultdict[TopicName, list[Record]] = defaultdict(list)
        self.keyed: defaultdict[TopicName, list[tuple[bytes, Record]]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self.unkeyed) + len(self.keyed)

    def names(self) -> list[str]:
        """Return the topics, in the order in which they were first named."""
        return list(dict.fromkeys(map(topic_of, chain(self.unkeyed, self.keyed))))

    def own_topics(self) -> list[OwnTopic]:
        """Return the topics that schemas want for themselves, in the order in which they were first named."""
        return [name for name in dict.fromkeys(chain(self.unkeyed, self.keyed)) if isinstance(name, OwnTopic)]

    def pop(self, name: TopicName) -> list[Record]:
        """Take out and return the records of a topic."""
        return self.unkeyed.pop(name, []) + [record for _, record in self.keyed.pop(name, [])]

    def merge(self, name: OwnTopic) -> None:
        """Move the records of an own topic to the topic of that name."""
        self.unkeyed[name.topic] += self.unkeyed.pop(name, [])
        self.keyed[name.topic] += self.keyed.pop(name, [])


def topic_of(name: TopicName) -> str:
    """Return the topic that a name is of."""
    return name if isinstance(name, str) else name.topic
