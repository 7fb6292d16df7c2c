# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a member takes of a poll: nothing behind an error of its partition but another try."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message

from elworkers.connectors.kafka.confluent.held import Held, by_partition

DAMAGED, END = KafkaError(KafkaError._BAD_MSG), KafkaError(KafkaError._PARTITION_EOF)


def message(partition: int, offset: int, error: KafkaError | None = None) -> Message:
    return Message(topic="t", partition=partition, offset=offset, value=b"", error=error)


def test_messages_of_partitions_that_are_held_are_taken_from_their_positions_on() -> None:
    held = {0: Held(1, 1), 1: Held(0, 0)}
    taken = by_partition([message(0, 0), message(0, 1), message(2, 0), message(1, 0), message(0, 4)], held)
    assert {number: [one[0] for one in some] for number, some in taken.messages.items()} == {0: [1, 4], 1: [0]}
    assert (held[0].next, held[1].next) == (5, 1)
    assert (taken.errors, taken.cut) == ([], set())


def test_what_is_behind_an_error_of_its_partition_is_read_again_and_its_end_does_not_count() -> None:
    held = {0: Held(0, 0), 1: Held(0, 0)}
    polled = [message(0, 0), message(0, 1, DAMAGED), message(0, 2), message(1, 0), message(0, 3, END), message(1, 1)]
    taken = by_partition(polled, held)
    assert {number: [one[0] for one in some] for number, some in taken.messages.items()} == {0: [0], 1: [0, 1]}
    assert (held[0].next, held[0].end, held[1].next) == (1, -1, 2)
    assert [one.error().code() for one in taken.errors] == [KafkaError._BAD_MSG]
    assert taken.cut == {0}


def test_behind_an_end_more_may_come() -> None:
    held = {0: Held(0, 0)}
    taken = by_partition([message(0, 0), message(0, 1, END), message(0, 1)], held)
    assert [one[0] for one in taken.messages[0]] == [0, 1]
    assert [one.error().code() for one in taken.errors] == [KafkaError._PARTITION_EOF]
    assert taken.cut == set()


def test_an_error_of_a_partition_that_is_not_held_drops_nothing() -> None:
    held = {0: Held(0, 0)}
    taken = by_partition([message(1, 0, DAMAGED), message(0, 0)], held)
    assert [one[0] for one in taken.messages[0]] == [0]
    assert taken.cut == set()
