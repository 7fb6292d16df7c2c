# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What is remembered of partitions that stand still, until something is heard of them."""

from __future__ import annotations

import time

from elworkers.connectors.kafka.confluent.partition_faults import PartitionFaults
from elworkers.connectors.kafka.leaderless import NO_LEADER
from elworkers.core.metrics import Counters


def test_a_partition_whose_leader_is_back_is_said_to_go_on() -> None:
    metrics = Counters()
    faults = PartitionFaults("t", metrics)
    faults.leaders({1}, {0, 1})
    assert metrics.aside == {"topic t[0]": NO_LEADER}
    faults.leaders({0, 1}, {0, 1})
    assert not metrics.aside
    assert faults.due(time.monotonic()) == []


def test_one_that_is_not_read_meanwhile_is_tried_at_once_when_its_leader_is_back() -> None:
    metrics = Counters()
    faults = PartitionFaults("t", metrics)
    faults.has_no_leader(0)
    assert faults.due(time.monotonic()) == []
    faults.leaders({0}, {0})
    assert metrics.aside == {"topic t[0]": NO_LEADER}
    assert faults.due(time.monotonic()) == [0]
    faults.tried(0)
    assert faults.due(time.monotonic()) == []
    faults.goes_on(0)
    assert not metrics.aside


def test_one_that_is_no_longer_held_is_forgotten() -> None:
    metrics = Counters()
    faults = PartitionFaults("t", metrics)
    faults.stands_still(0, "why")
    assert faults.has(0)
    faults.retain({1})
    assert not faults.has(0)
    assert not metrics.aside
    assert faults.due(time.monotonic() + 3600) == []
