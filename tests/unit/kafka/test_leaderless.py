# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Leaders of topics → which partitions have had none for long, and what is said of them."""

from __future__ import annotations

import pytest

from elworkers.connectors.kafka import leaderless
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.pykafka.absent_brokers import AbsentBroker
from elworkers.core.contracts import TopicPartition
from elworkers.core.metrics import Counters

NOBODY = AbsentBroker(-1)


def test_a_partition_is_named_while_it_has_no_leader() -> None:
    metrics = Counters()
    known = LeaderlessPartitions(metrics)
    known.update("a", ["broker", NOBODY, NOBODY])
    known.update("b", ["broker"])
    assert set(metrics.aside) == {"topic a[1]", "topic a[2]"}
    assert (known.has("a"), known.has("b")) == (True, False)
    known.update("a", ["broker", "broker", NOBODY])
    assert set(metrics.aside) == {"topic a[2]"}
    known.update("a", ["broker"] * 3)
    assert not metrics.aside
    assert not known.has("a")


def test_how_long_counts_from_the_first_look_that_found_none(monkeypatch: pytest.MonkeyPatch) -> None:
    known = LeaderlessPartitions()
    known.update("a", [NOBODY])
    known.update("a", [NOBODY])
    assert not known.has_waited_long(TopicPartition("a", 0))
    monkeypatch.setattr(leaderless, "_PATIENCE_S", 0.0)
    assert known.has_waited_long(TopicPartition("a", 0))
    assert not known.has_waited_long(TopicPartition("a", 1))
    known.update("a", ["broker"])
    assert not known.has_waited_long(TopicPartition("a", 0))


def test_topics_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderless, "_MAX_TOPICS", 2)
    known = LeaderlessPartitions()
    for name in "abc":
        known.update(name, [NOBODY])
    assert [known.has(name) for name in "abc"] == [True, True, False]
