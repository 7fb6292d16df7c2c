# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Members of the original beside ours, in one group that a real ZooKeeper manages; and its chroots."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kazoo.client import KazooClient
from members import DEADLINE_S, Members, positions, produce, read
from pykafka.balancedconsumer import BalancedConsumer
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.pykafka import client
from elworkers.core.errors import ConfigurationError, RetryableError

Unique = Callable[[str], str]


class OnPython2(BalancedConsumer):  # type: ignore[misc]
    """pykafka's own consumer as it ran on Python 2, where a topic's name is text that formats as it is."""

    def __init__(self, topic: Any, *words: Any, auto_start: bool = True, **keywords: Any) -> None:
        super().__init__(topic, *words, auto_start=False, **keywords)
        self._topic_path = f"/consumers/{self._consumer_group.decode()}/owners/{topic.name.decode()}"
        if auto_start:
            self.start()


@pytest.fixture
def zk(zookeeper: str) -> Iterator[KazooClient]:
    """Another session, as a tool or another member has it."""
    session = KazooClient(zookeeper)
    session.start()
    yield session
    session.stop()
    session.close()


def owners(zk: KazooClient, group: str, topic: str) -> dict[int, str]:
    """Partition → member, as a tool of the original's time reads them."""
    folder = f"/consumers/{group}/owners/{topic}"
    found = {}
    for node in zk.get_children(folder) if zk.exists(folder) else ():
        # Between the two questions it may go.
        if zk.exists(f"{folder}/{node}"):
            found[int(node.rpartition("-")[2])] = zk.get(f"{folder}/{node}")[0].decode()
    return found


@pytest.mark.parametrize("original_first", [True, False])
@pytest.mark.parametrize("original", [OnPython2, BalancedConsumer])
def test_a_member_of_the_original_shares_the_partitions_with_ours(
    kafka: str, zookeeper: str, zk: KazooClient, unique: Unique, original: Any, original_first: bool
) -> None:
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"%d" % number for number in range(40)])
    members = Members(kafka, zookeeper, group)
    cluster = client.connect([kafka])

    def theirs() -> Any:
        return original(
            cluster.topics[topic.encode()],
            cluster,
            group.encode(),
            zookeeper_connect=zookeeper,
            auto_commit_enable=True,
            consumer_timeout_ms=50,
            rebalance_backoff_ms=200,
            rebalance_max_retries=30,
        )

    def ours() -> Any:
        return members.join(topic, "&rebalance_backoff_ms=200&rebalance_max_retries=30")

    other = theirs() if original_first else None
    mine = ours()
    other = other or theirs()
    try:
        wait_for(
            lambda: mine.poll(0, 0.05) is not None and len(mine.partitions) == len(other.partitions) == 2,
            DEADLINE_S,
            "two partitions each",
        )
        assert sorted([*mine.partitions, *other.partitions]) == [0, 1, 2, 3]
        if original is OnPython2:
            held = owners(zk, group, topic)
            assert {number for number, who in held.items() if who == other._consumer_id.decode()} == set(
                other.partitions
            )
            assert sorted(held) == [0, 1, 2, 3]
            assert len(set(held.values())) == 2
        taken = read(mine, 20)
        mine.commit(positions(taken))
        theirs_taken = [one.value for one in iter(lambda: other.consume(block=True), None)]
        assert sorted([*theirs_taken, *(one.value for one in taken)]) == sorted(b"%d" % n for n in range(40))
        # It commits where it is, and what it leaves goes to ours.
        other.commit_offsets()
        other.stop()
        wait_for(lambda: mine.poll(0, 0.05) is not None and len(mine.partitions) == 4, DEADLINE_S, "all partitions")
        assert len(set(owners(zk, group, topic).values())) == 1
        produce(kafka, topic, [b"new-%d" % number for number in range(8)])
        assert {one.value for one in read(mine, 8)} == {b"new-%d" % number for number in range(8)}
    finally:
        other.stop()
        members.close()


@pytest.mark.parametrize("folder", ["{topic}", "b'{topic}'"])
@pytest.mark.parametrize("leader", ["1", "77"])
def test_a_partition_is_not_taken_while_another_member_still_owns_it(
    kafka: str, zookeeper: str, zk: KazooClient, unique: Unique, folder: str, leader: str
) -> None:
    """Whichever path it has it at, and whoever led the partition then."""
    topic, group = unique("topic"), unique("group")
    produce(kafka, topic, [b"x"])
    own = f"/consumers/{group}/owners/{topic}"
    held = f"/consumers/{group}/owners/{folder.format(topic=topic)}/{leader}-2"
    zk.create(held, b"somebody", ephemeral=True, makepath=True)
    members = Members(kafka, zookeeper, group)
    try:
        with pytest.raises(RetryableError, match="join group"):
            members.join(topic, "&rebalance_backoff_ms=1&rebalance_max_retries=2")
        wait_for(lambda: 2 not in owners(zk, group, topic) or held.startswith(own), DEADLINE_S, "it let go")
        zk.delete(held)
        source = members.join(topic)
        wait_for(lambda: source.poll(1, 0.05) is not None and len(source.partitions) == 4, DEADLINE_S, "all of them")
        assert sorted(owners(zk, group, topic)) == [0, 1, 2, 3]
    finally:
        members.close()


def test_a_chroot_is_made_where_it_is_missing_and_holds_the_group(
    kafka: str, zookeeper: str, zk: KazooClient, unique: Unique
) -> None:
    topic, group, chroot = unique("topic"), unique("group"), f"/{unique('kafka')}/eqiad"
    produce(kafka, topic, [b"x"])
    members = Members(kafka, zookeeper + chroot, group)
    try:
        assert len(read(members.join(topic), 1)) == 1
        assert len(zk.get_children(f"{chroot}/consumers/{group}/ids")) == 1
        assert len(zk.get_children(f"{chroot}/consumers/{group}/owners/{topic}")) == 4
        assert zk.exists(f"/consumers/{group}") is None
    finally:
        members.close()


def test_a_chroot_may_not_be_made_where_an_option_says_so(
    kafka: str, zookeeper: str, zk: KazooClient, unique: Unique
) -> None:
    topic, chroot = unique("topic"), f"/{unique('kafka')}/eqiad"
    produce(kafka, topic, [b"x"])
    members = Members(kafka, zookeeper + chroot, unique("group"))
    expected = f"option zookeeper_connect: there is no {chroot} in ZooKeeper.*expected one that is there"
    try:
        with pytest.raises(ConfigurationError, match=expected):
            members.join(topic, "&zookeeper_make_chroot=False")
        assert zk.exists(chroot) is None
        zk.ensure_path(chroot)
        assert len(read(members.join(topic, "&zookeeper_make_chroot=False"), 1)) == 1
    finally:
        members.close()


def test_every_line_of_a_log_is_json_where_a_chroot_is_missing(kafka: str, zookeeper: str, unique: Unique) -> None:
    topic = unique("topic")
    produce(kafka, topic, [b"x"])
    source = f"kafka:///{kafka}?topic={topic}&raw=True&zookeeper_connect={zookeeper}/{unique('kafka')}/eqiad"
    command = [BIN / "eventlogging-consumer", source, "stdout:", "--sid", unique("group")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "x\n"
        running.terminate()
        lines = running.stderr.read().splitlines()
    assert lines
    entries = [json.loads(line) for line in lines]
    assert [entry for entry in entries if entry["level"] == "warning"] == []
    assert [entry["path"] for entry in entries if entry["event"] == "made a chroot in ZooKeeper"]
