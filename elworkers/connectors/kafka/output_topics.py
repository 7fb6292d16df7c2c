# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds or creates the topics of an output, and says why some cannot be written to."""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from elworkers.config.topic_plan import TopicPlan, TopicSettings
from elworkers.connectors.kafka import topic_owners
from elworkers.connectors.kafka.batches import OutputTopic
from elworkers.connectors.kafka.error_codes import (
    INVALID_NAME,
    INVALID_SETTINGS,
    OUTAGES,
    creation_error,
    describe,
    error_type,
)
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.topic_client import APPEARS_WITHIN_S, LEADERS_WITHIN_S, TopicClient
from elworkers.connectors.kafka.topic_fallback import Numbers
from elworkers.core.contracts import Metrics
from elworkers.core.errors import ConfigurationError, RetryableError

_RETRY_AFTER_S = 60.0
_MAX_REJECTED = 1_000
_INTERNAL = "__"


class UnusableTopics(NamedTuple):
    """Names that cannot be written to.

    Attributes:
        rejected: those made from events that will never do, with the reason.
        unavailable: those that will not do now, with the error that says why.
        unclassified: those made from events that Kafka refuses with a code that is on no list, which may be either.
    """

    rejected: dict[str, str]
    unavailable: dict[str, RetryableError]
    unclassified: dict[str, int]


class OutputTopics:
    """Looks topics up for a producer, and creates them.

    A name is the operator's, or was made from an event. Which of two schemas has a name that Kafka takes for the same
    (it writes `.` as `_` where it counts) is decided here: the one whose topic exists, else the first.

    Args:
        topics: the driver's.
        plan: how topics have to be made.
        metrics: is told of topics that are set aside.
        known_topics: the operator's topics that this process has written to.
        leaderless: is told of partitions without a leader.
    """

    def __init__(
        self,
        topics: TopicClient,
        plan: TopicPlan,
        metrics: Metrics | None,
        known_topics: set[str],
        leaderless: LeaderlessPartitions,
    ) -> None:
        self._topics = topics
        self._plan = plan
        self._topic_settings: dict[str, TopicSettings] = {}
        self._metrics = metrics
        self._known_topics = known_topics
        self._leaderless = leaderless
        self._turns: dict[str, Iterator[int]] = {}
        self._rejected: dict[str, tuple[str, float]] = {}
        self.found: dict[str, OutputTopic] = {}
        """Those that can be written to, by name."""

    def prepare(self, configured: Sequence[str], derived: Sequence[str]) -> UnusableTopics:
        """Find the topics and their leaders; create those that are missing.

        Args:
            configured: names that the operator wrote.
            derived: names that were made from events.

        Raises:
            RetryableError: no broker answers.
            ConfigurationError: a topic that the operator wrote cannot be created as the operator wants it.
        """
        if self._topics.refresh_if_old():
            self.found.clear()
        unusable = UnusableTopics({name: why for name in derived if (why := self._recent_rejection(name))}, {}, {})
        new = [name for name in (*configured, *derived) if name not in self.found and name not in unusable.rejected]
        if not new:
            return unusable
        for name, why in self._name_collisions(new, set(derived)):
            unusable.rejected[name] = self.set_aside(name, why)
        wanted = [name for name in new if name not in unusable.rejected]
        existing = set(self._topics.known_names())
        self._topic_settings = self._plan.of(wanted)
        for name, code in self._create_missing(wanted).items():
            self._classify(name, code, name in derived, unusable)
        now = time.monotonic()
        deadline = now + APPEARS_WITHIN_S
        for name in new:
            if not any(name in reasons for reasons in unusable):
                # One that was there before has its leaders, or goes without.
                leaders_within_s = 0.0 if self._leaderless.has(name) else LEADERS_WITHIN_S
                try:
                    self._look_up_leaders(name, deadline, now + leaders_within_s if name in existing else deadline)
                except RetryableError as error:
                    unusable.unavailable[name] = error
        self._known_topics.update(name for name in configured if name in self.found)
        return unusable

    def _create_missing(self, wanted: Sequence[str]) -> dict[str, int]:
        """Create those that are not there; return names that cannot be, with Kafka's error code."""
        by_numbers = defaultdict[Numbers, list[str]](list)
        for name in wanted:
            by_numbers[self._topic_settings[name][:2]].append(name)
        rejected: dict[str, int] = {}
        for numbers, names in by_numbers.items():
            rejected |= self._topics.create_missing(names, numbers, self._plan.own)
        return rejected

    def _recent_rejection(self, name: str) -> str:
        if name == topic_owners.TOPIC:
            return f"the topic {name} says whose topics are, and takes no events"
        why, until = self._rejected.get(name, ("", 0.0))
        return why if time.monotonic() < until else ""

    def _name_collisions(self, new: Iterable[str], derived: set[str]) -> Iterator[tuple[str, str]]:
        missing = self._topics.missing(new)
        # pykafka hides them, so that they seem to be absent.
        internal = {name for name in missing if name.startswith(_INTERNAL) and name in derived}
        for name in internal:
            yield name, f"the topic {name} would be one of Kafka's own, which begin with {_INTERNAL}"
        if derived.isdisjoint(missing):
            return
        existing = {_collision_key(name): name for name in self._topics.known_names()}
        # The operator's come first in `new`.
        for name in missing:
            other = existing.setdefault(_collision_key(name), name)
            if other != name and name in derived - internal:
                yield name, f"the topic {name} cannot be beside {other}, which Kafka counts under the same name"

    def _classify(self, name: str, code: int, derived: bool, unusable: UnusableTopics) -> None:
        if not derived:
            unusable.unavailable[name] = self.topic_error(name, code)
        elif code in OUTAGES or code in INVALID_SETTINGS:
            unusable.unavailable[name] = error_type(code)(f"Kafka: create topic {name}: {describe(code)}")
        elif code in INVALID_NAME:
            unusable.rejected[name] = self.set_aside(
                name, f"Kafka refuses to create the topic {name}: {describe(code)}"
            )
        else:
            unusable.unclassified[name] = code

    def topic_error(self, name: str, code: int) -> RetryableError:
        """Return why a topic that the operator wrote cannot be used now.

        Raises:
            ConfigurationError: it never can, and was not used before.
        """
        error = creation_error(name, code, *self._plan.own)
        if isinstance(error, ConfigurationError):
            if name not in self._known_topics:
                raise error
            error = RetryableError(str(error))
        return error

    def set_aside(self, name: str, why: str) -> str:
        """Remember for a while that a topic accepts nothing; returns the reason."""
        if len(self._rejected) >= _MAX_REJECTED:
            self._rejected.clear()
        self._rejected[name] = (why, time.monotonic() + _RETRY_AFTER_S)
        self.found.pop(name, None)
        if self._metrics is not None:
            self._metrics.set_aside(f"topic {name}", why)
        return why

    def _look_up_leaders(self, name: str, deadline: float, leaders_until: float) -> None:
        leaders, replication = self._topics.wait_for_leaders(name, deadline, leaders_until)
        self._leaderless.update(name, leaders)
        if self._metrics is not None:
            self._metrics.remark(
                f"topic {name}", self._topic_settings.get(name, TopicSettings()).differs(len(leaders), replication)
            )
        # Beginning anywhere, so that several workers do not all begin at the same partition.
        turns = self._turns.setdefault(name, count(zlib.crc32(name.encode()) ^ id(self)))
        self.found[name] = OutputTopic(name, leaders, turns)
        if self._rejected.pop(name, None) and self._metrics is not None:
            self._metrics.resumed(f"topic {name}")


def _collision_key(name: str) -> str:
    return name.replace(".", "_")
