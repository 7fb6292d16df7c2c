# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What the leader of a group tells its members."""

from __future__ import annotations

from typing import Any

from pykafka.protocol import MemberAssignment

from elworkers.connectors.kafka.pykafka import balanced_consumers

SHARE: list[Any] = [(b"topic", [0, 7])]


def test_an_assignment_has_the_user_data_that_kafkas_tools_read_and_pykafka_reads_it_too() -> None:
    written = bytes(balanced_consumers._Assignment(SHARE).get_bytes())
    of_topic = b"\0\0\0\1" + b"\0\5topic" + b"\0\0\0\2" + b"\0\0\0\0" + b"\0\0\0\7"
    assert written[2:] == of_topic + b"\0\0\0\0"
    read = MemberAssignment.from_bytestring(written)
    assert [(bytes(topic), [*partitions]) for topic, partitions in read.partition_assignment] == SHARE
