# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Members of groups by confluent-kafka: rebalances, deaths, outages, and groups that another client had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import modern
import pytest
from driven import Driven
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.core.contracts import TopicPartition
from elworkers.devstack import Stack

DEADLINE_S = 90.0
TESTS = Path(__file__).parent.parent

Feed = Callable[[int], list[bytes]]


@pytest.fixture(params=["kafka", "kafka44"])
def broker(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def topic(broker: str, unique: Callable[[str], str]) -> str:
    name = unique("shared")
    modern.create(broker, name, 4)
    return name


@pytest.fixture
def feed(broker: str, topic: str) -> Feed:
    """Writes so many more messages, over all partitions; gives back all of them."""
    written: list[bytes] = []

    def more(count: int) -> list[bytes]:
        added = [b"%06d" % number for number in range(len(written), len(written) + count)]
        for partition in range(4):
            modern.produce(broker, topic, added[partition::4], partition)
        written.extend(added)
        return written

    return more


@pytest.fixture
def member(broker: str, topic: str) -> Iterator[Callable[..., Driven]]:
    """Starts a member of the topic's group."""
    made: list[Driven] = []

    def start(client: str = "confluent", options: str = "", static_id: str | None = None) -> Driven:
        made.append(Driven(client, broker, topic, f"group-{topic}", options, static_id))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def committed(broker: str, topic: str) -> dict[TopicPartition, int]:
    admin = driver([broker], "confluent").admin([broker])
    found = admin.committed(f"group-{topic}", topic)
    admin.close()
    return found


def all_taken(members: list[Driven]) -> list[bytes]:
    return sorted(value for one in members for value in list(one.taken))


def test_members_come_and_go_under_load_and_every_message_is_taken_once(
    feed: Feed, member: Callable[..., Driven]
) -> None:
    members = [member()]
    for joins in (True, True, False):
        feed(500)
        if joins:
            members.append(member())
        else:
            members[0].stop()
        feed(500)
        present = members if joins else members[1:]
        wait_for(
            lambda present=present: (
                sorted(number for one in present for number in one.partitions) == [0, 1, 2, 3]
                and all(one.partitions for one in present)
            ),
            DEADLINE_S,
            "partitions for each",
        )
    written = feed(500)
    wait_for(lambda: len(all_taken(members)) >= len(written), DEADLINE_S, "all messages")
    for one in members:
        one.stop()
    assert all_taken(members) == written
    assert [one.errors for one in members] == [[], [], []]


def killed_amid_its_work(broker: str, topic: str, folder: Path, *more: str) -> list[bytes]:
    """What a member in a process of its own has read before it was killed; with more words for `driven`."""
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "driven", "confluent", broker, topic, f"group-{topic}", *more],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=output,
        )
    try:
        wait_for(lambda: len(said.read_bytes().splitlines()) >= 50, DEADLINE_S, "what the process reads")
    finally:
        process.kill()
        process.wait()
    return said.read_bytes().splitlines()


def test_what_a_killed_member_had_is_read_by_another(
    broker: str, topic: str, feed: Feed, member: Callable[..., Driven], tmp_path: Path
) -> None:
    feed(400)
    said = killed_amid_its_work(broker, topic, tmp_path)
    written = feed(400)
    other = member()
    wait_for(lambda: {*other.taken, *said} >= set(written), DEADLINE_S, "all messages")
    assert len(other.taken) == len(set(other.taken))


def holds(one: Driven, count: int) -> list[int]:
    wait_for(lambda: len(one.partitions) == count, DEADLINE_S, f"{count} partitions")
    return one.partitions


def test_a_static_member_that_comes_back_has_its_partitions_and_nobody_notices(
    feed: Feed, member: Callable[..., Driven]
) -> None:
    first, other = member(static_id="a"), member(static_id="b")
    before = holds(first, 2)
    holds(other, 2)
    moves = other.moves
    feed(400)
    first.stop()
    written = feed(400)
    again = member(static_id="a")
    assert holds(again, 2) == before
    wait_for(lambda: len(all_taken([first, other, again])) >= len(written), DEADLINE_S, "all messages")
    assert all_taken([first, other, again]) == written
    assert (other.moves, other.errors) == (moves, [])


def test_who_follows_a_killed_static_member_is_let_in_once_its_session_has_timed_out(
    broker: str, topic: str, feed: Feed, member: Callable[..., Driven], tmp_path: Path
) -> None:
    feed(400)
    said = killed_amid_its_work(broker, topic, tmp_path, "", "a")
    written = feed(400)
    successor = member(static_id="a")
    wait_for(lambda: {*successor.taken, *said} >= set(written), DEADLINE_S, "all messages")
    assert len(successor.taken) == len(set(successor.taken))
    # Before Kafka 4 it takes the other's place at once.
    assert all("the group waits for this worker's predecessor" in text for text in successor.errors)


def test_of_two_static_members_of_one_name_the_group_has_one_and_the_other_waits(
    feed: Feed, member: Callable[..., Driven]
) -> None:
    first = member(static_id="a")
    holds(first, 4)
    second = member(static_id="a")
    # Before Kafka 4 the newcomer takes the place, since then it is refused.
    told = wait_for(lambda: first.errors + second.errors, DEADLINE_S, "a refusal")[0]
    assert "another client has come as the same static member" in told or "waits for this worker's predecessor" in told
    first.stop()
    written = feed(400)
    wait_for(lambda: set(second.taken) >= set(written), DEADLINE_S, "all messages")


def test_a_broker_that_is_away_is_waited_for(
    request: pytest.FixtureRequest, own_stack: Stack, unique: Callable[[str], str]
) -> None:
    own_stack.up("kafka44")
    broker, topic = own_stack.env()["KAFKA44"], unique("away")
    modern.create(broker, topic, 4)
    one = Driven("confluent", broker, topic, f"group-{topic}")
    one.start()
    try:
        modern.produce(broker, topic, [b"before"])
        wait_for(lambda: one.taken == [b"before"], DEADLINE_S, "the first message")
        own_stack.kill("kafka44")
        # Said as an outage, with the address: the loop then shows that it waits, and for what.
        wait_for(lambda: any(broker in text for text in one.errors), DEADLINE_S, "the outage")
        own_stack.start("kafka44")
        modern.produce(broker, topic, [b"after"])
        wait_for(lambda: b"after" in one.taken, DEADLINE_S, "the second message")
    finally:
        one.stop()
    assert one.taken in ([b"before", b"after"], [b"before", b"before", b"after"])


class TestOtherClients:
    """Groups that pykafka has, or had; it reaches Kafka 3.9 only."""

    @pytest.fixture
    def broker(self, kafka: str) -> str:
        return kafka

    def test_two_clients_do_not_share_a_group_and_the_second_says_so_and_waits(
        self, feed: Feed, member: Callable[..., Driven]
    ) -> None:
        feed(20)
        first = member("pykafka")
        wait_for(lambda: len(first.taken) == 20, DEADLINE_S, "what the first reads")
        second = member("confluent")
        wait_for(lambda: second.errors, DEADLINE_S, "that it cannot join")
        assert "members of the group use another Kafka client, and the two cannot share a group" in second.errors[0]
        first.stop()
        written = feed(20)
        wait_for(lambda: len(second.taken) >= 20, DEADLINE_S, "what the second reads")
        assert all_taken([first, second]) == written

    @pytest.mark.parametrize(("before", "after"), [("pykafka", "confluent"), ("confluent", "pykafka")])
    def test_a_group_goes_on_with_the_other_client_where_it_was(
        self, before: str, after: str, feed: Feed, member: Callable[..., Driven]
    ) -> None:
        feed(40)
        first = member(before)
        wait_for(lambda: len(first.taken) == 40, DEADLINE_S, "what the first reads")
        first.stop()
        written = feed(40)
        second = member(after)
        wait_for(lambda: len(second.taken) >= 40, DEADLINE_S, "what the second reads")
        second.stop()
        assert all_taken([first, second]) == written


def test_an_idle_member_commits_what_is_behind_markers_of_transactions(
    broker: str, topic: str, member: Callable[..., Driven]
) -> None:
    one = member()
    writer = modern.Transactions(broker, topic, f"id-{topic}")
    writer.begin([b"aborted"])
    writer.abort()
    writer.begin([b"committed"])
    writer.commit()
    wait_for(lambda: one.taken == [b"committed"], DEADLINE_S, "the message")
    admin = driver([broker], "confluent").admin([broker])
    ends = admin.ends(topic)
    assert ends[TopicPartition(topic, 0)] == 4, "a marker has an offset as well"
    wait_for(lambda: committed(broker, topic) == ends, DEADLINE_S, "a lag of none")


def test_a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(
    broker: str, topic: str, feed: Feed, member: Callable[..., Driven]
) -> None:
    feed(8)
    one = member(options="&metadata_max_age_ms=200")
    wait_for(lambda: len(one.taken) == 8, DEADLINE_S, "the first messages")
    modern.delete(broker, topic)
    wait_for(lambda: any("deleted" in text for text in one.errors), DEADLINE_S, "that it is gone")
    modern.create(broker, topic, 4)
    modern.produce(broker, topic, [b"new"])
    wait_for(lambda: one.taken[8:] == [b"new"], DEADLINE_S, "the new message")


def test_what_an_input_of_2016_says_is_accepted_and_what_has_no_effect_is_said_once(
    topic: str,
    feed: Feed,
    member: Callable[..., Driven],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    feed(4)
    options = (
        "&zookeeper_connect=127.0.0.1:2181/chroot&auto_commit_enable=True&auto_commit_interval_ms=1000"
        "&num_consumer_fetchers=2&fetch_message_max_bytes=4000000&fetch_wait_max_ms=50&queued_max_messages=500"
        "&rebalance_max_retries=9&consumer_timeout_ms=1000&auto_offset_reset=smallest&fetch_min_bytes=1"
    )
    for _ in range(2):
        one = member(options=options)
        wait_for(lambda: one.partitions == [0, 1, 2, 3], DEADLINE_S, "its partitions")  # noqa: B023
        one.stop()
    said = capsys.readouterr().out
    assert said.count("kafka_group_not_in_zookeeper") == 1
    assert said.count("kafka_options_without_effect") == 1
    assert "num_consumer_fetchers" in said
    assert "rebalance_max_retries" in said
    assert "fetch_wait_max_ms" not in said
