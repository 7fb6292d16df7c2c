# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds or creates the topics of an output, and says why some cannot be written to."""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from elworkers.config.topic_plan import TopicPlan, TopicSettings
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.pykafka import client, topic_owners, topics
from elworkers.connectors.kafka.pykafka.batches import Topic
from elworkers.connectors.kafka.pykafka.error_codes import NAMES_OWN, OUTAGES, SETTINGS, words
from elworkers.core.contracts import Metrics
from elworkers.core.errors import ConfigurationError, RetryableError

_LOOK_AGAIN_AFTER_S = 60.0
_MOST_REFUSED = 1_000
_INTERNAL = "__"


class UnavailableTopic(NamedTuple):
    """Names that cannot be written to.

    Attributes:
        refused: those made from events that will never do, with the reason.
        missing: those that will not do now, with the reason.
        unlisted: those made from events that Kafka refuses with a code that is on no list, which may be either.
    """

    refused: dict[str, str]
    missing: dict[str, str]
    unlisted: dict[str, int]


class OutputTopics:
    """Looks topics up for a producer, and creates them.

    A name is the operator's, or was made from an event. Which of two schemas has a name that Kafka takes for the same
    (it writes `.` as `_` where it counts) is decided here: the one whose topic exists, else the first.

    Args:
        cluster: of `client.connect`.
        plan: how topics have to be made.
        metadata_max_age_ms: how old metadata may become.
        metrics: is told of topics that are set aside.
        used: the operator's topics that this process has written to.
        unled: is told of partitions without a leader.
    """

    def __init__(
        self,
        cluster: Any,
        plan: TopicPlan,
        metadata_max_age_ms: int,
        metrics: Metrics | None,
        used: set[str],
        unled: LeaderlessPartitions,
    ) -> None:
        self._cluster = cluster
        self._plan = plan
        self._hows: dict[str, TopicSettings] = {}
        self._freshness = topics.MetadataRefresher(cluster, metadata_max_age_ms)
        self._metrics = metrics
        self._used = used
        self._unled = unled
        self._turns: dict[str, Iterator[int]] = {}
        self._refused: dict[str, tuple[str, float]] = {}
        self.found: dict[str, Topic] = {}
        """Those that can be written to, by name."""

    def find(self, plain: Sequence[str], made: Sequence[str]) -> UnavailableTopic:
        """See to it that the topics are there, and their leaders known.

        Args:
            plain: names that the operator wrote.
            made: names that were made from events.

        Raises:
            RetryableError: no broker answers.
            ConfigurationError: a topic that the operator wrote cannot be created as the operator wants it.
        """
        if self._freshness.renewed():
            self.found.clear()
        unplaced = UnavailableTopic({name: why for name in made if (why := self._refused_lately(name))}, {}, {})
        new = [name for name in (*plain, *made) if name not in self.found and name not in unplaced.refused]
        if not new:
            return unplaced
        for name, why in self._taken_by_others(new, set(made)):
            unplaced.refused[name] = self.set_aside(name, why)
        wanted = [name for name in new if name not in unplaced.refused]
        there = set(topics.known(self._cluster))
        self._hows = self._plan.of(wanted)
        for name, code in self._created(wanted).items():
            self._judge(name, code, name in made, unplaced)
        now = time.monotonic()
        deadline = now + topics.APPEARS_WITHIN_S
        for name in new:
            if not any(name in reasons for reasons in unplaced):
                # One that was there before has its leaders, or goes without.
                leaders_within_s = 0.0 if self._unled.has(name) else topics.LEADERS_WITHIN_S
                try:
                    self._look_up(name, deadline, now + leaders_within_s if name in there else deadline)
                except RetryableError as error:
                    unplaced.missing[name] = str(error)
        self._used.update(name for name in plain if name in self.found)
        return unplaced

    def _created(self, wanted: Sequence[str]) -> dict[str, int]:
        """Create those that are not there; return names that cannot be, with Kafka's error code."""
        alike = defaultdict[tuple[int | None, int | None], list[str]](list)
        for name in wanted:
            alike[self._hows[name][:2]].append(name)
        refused: dict[str, int] = {}
        for how, names in alike.items():
            refused |= topics.create_missing(self._cluster, names, *how, own=self._plan.own)
        return refused

    def _refused_lately(self, name: str) -> str:
        if name == topic_owners.TOPIC:
            return f"the topic {name} says whose topics are, and takes no events"
        why, until = self._refused.get(name, ("", 0.0))
        return why if time.monotonic() < until else ""

    def _taken_by_others(self, new: Iterable[str], made: set[str]) -> Iterator[tuple[str, str]]:
        absent = topics.absent(self._cluster, new)
        # pykafka hides them, so that they seem to be absent.
        internal = {name for name in absent if name.startswith(_INTERNAL) and name in made}
        for name in internal:
            yield name, f"the topic {name} would be one of Kafka's own, which begin with {_INTERNAL}"
        if made.isdisjoint(absent):
            return
        there = {_counted(name): name for name in topics.known(self._cluster)}
        # The operator's come first in `new`.
        for name in absent:
            other = there.setdefault(_counted(name), name)
            if other != name and name in made - internal:
                yield name, f"the topic {name} cannot be beside {other}, which Kafka counts under the same name"

    def _judge(self, name: str, code: int, made: bool, unplaced: UnavailableTopic) -> None:
        if not made:
            unplaced.missing[name] = str(self.refusal_of_operators(name, code))
        elif code in OUTAGES or code in SETTINGS:
            unplaced.missing[name] = f"Kafka: create topic {name}: {words(code)}"
        elif code in NAMES_OWN:
            unplaced.refused[name] = self.set_aside(name, f"Kafka refuses to create the topic {name}: {words(code)}")
        else:
            unplaced.unlisted[name] = code

    def refusal_of_operators(self, name: str, code: int) -> RetryableError:
        """Return why a topic that the operator wrote cannot be used now.

        Raises:
            ConfigurationError: it never can, and was not used before.
        """
        error = topics.not_created(name, code, *self._plan.own)
        if isinstance(error, ConfigurationError):
            if name not in self._used:
                raise error
            error = RetryableError(str(error))
        return error

    def set_aside(self, name: str, why: str) -> str:
        """Remember for a while that a topic takes nothing; gives back why."""
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused[name] = (why, time.monotonic() + _LOOK_AGAIN_AFTER_S)
        self.found.pop(name, None)
        if self._metrics is not None:
            self._metrics.set_aside(f"topic {name}", why)
        return why

    def _look_up(self, name: str, deadline: float, leaders_until: float) -> None:
        found = topics.partly_served(self._cluster, name, deadline, leaders_until)
        with client.translated(f"look up the leaders of {name}"):
            leaders = [found.partitions[number].leader for number in range(len(found.partitions))]
        self._unled.look(name, leaders)
        if self._metrics is not None:
            self._metrics.remark(f"topic {name}", self._hows.get(name, TopicSettings()).differs(*topics.shape(found)))
        # Beginning anywhere, so that several workers do not all begin at the same partition.
        turns = self._turns.setdefault(name, count(zlib.crc32(name.encode()) ^ id(self)))
        self.found[name] = Topic(name, leaders, turns)
        if self._refused.pop(name, None) and self._metrics is not None:
            self._metrics.resumed(f"topic {name}")


def _counted(name: str) -> str:
    return name.replace(".", "_")
