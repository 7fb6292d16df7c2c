# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The loop in transactions: whatever fails wherever, a reader of committed records finds each input once."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kafka.exactly_once_site import DROPPED, ERRORS, LONGEST_SESSION_S, MAX_BYTES, Action, Site

from elworkers.connectors.kafka.memory.consumer import MemoryConsumer
from elworkers.core.errors import RetryableError
from elworkers.core.pipeline import Batch

OPERATIONS = (
    "connect",
    "join",
    "poll",
    "begin",
    "produce",
    "send_offsets",
    "commit_transaction",
    "abort",
    "commit",
)
"""Of which each may fail, or be the last of a process, before or after it is done."""

OLD = Batch(1_000, 3_600.0)
"""A batch whose transaction stays open until somebody asks for a flush."""


def feed(count: int, key: bytes, site: Site) -> None:
    """Give the site a few events, among them one that is left out and one that no broker takes."""
    numbers = range(len(site.sent), len(site.sent) + count)
    values = [b"%d" % number for number in numbers]
    values[2:3] = [DROPPED + values[2]] if count > 2 else []
    values[5:6] = [(values[5] + b"-large").ljust(MAX_BYTES + 1)] if count > 5 else []
    site.feed(*values, key=key)


def fail(operation: str, done: bool, times: int, site: Site) -> None:
    site.memory.broker.fail(operation, RetryableError("planted"), times=times, done=done)


def kill(operation: str, done: bool, site: Site) -> None:
    site.kill(operation, done=done)


def throw_out(site: Site) -> None:
    """Have the group give up whoever does not ask for records before this one does."""
    site.peer.turn()
    site.memory.broker.clock.advance(LONGEST_SESSION_S)
    site.peer.turn()


def let_expire(site: Site) -> None:
    """Have the broker abort what is open."""
    site.memory.broker.clock.advance(61)


def turn(site: Site) -> None:
    site.peer.turn()


def leave(site: Site) -> None:
    site.peer.leave()


def rest(_site: Site) -> None:
    """Let the loop go round."""


OPERATION = st.sampled_from(OPERATIONS)
ACTIONS = st.one_of(
    st.builds(partial, st.just(feed), st.integers(1, 8), st.sampled_from((b"one", b"two"))),
    st.builds(partial, st.just(fail), OPERATION, st.booleans(), st.integers(1, 2)),
    st.builds(partial, st.just(kill), OPERATION, st.booleans()),
    st.sampled_from((throw_out, let_expire, turn, leave, rest, rest)),
)


@settings(max_examples=80)
@given(st.lists(ACTIONS, min_size=4, max_size=30), st.sampled_from((Batch(3, 0.0), Batch(5, 0.0), OLD)))
def test_whatever_fails_each_input_is_there_once(actions: list[Action], batch: Batch) -> None:
    site = Site(batch)
    feed(8, b"one", site)
    feed(3, b"two", site)
    site.run(actions)
    site.finish()
    site.check()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("done", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("is_killed", [False, True], ids=["fails", "is killed"])
def test_a_failure_or_a_kill_in_any_place_leaves_each_input_once(operation: str, done: bool, is_killed: bool) -> None:
    site = Site()
    feed(8, b"one", site)
    feed(8, b"two", site)
    how = partial(kill, operation, done) if is_killed else partial(fail, operation, done, 1)
    site.run([rest, rest, how, *[rest] * 5])
    site.finish()
    site.check()


def without_leader(has_leader: bool, site: Site) -> None:
    for partition in site.memory.broker.partitions(ERRORS):
        site.memory.broker.set_leader(partition, has_leader)


def test_an_event_error_that_could_not_be_written_is_made_by_whoever_reads_its_record_again() -> None:
    site = Site(Batch(20, 0.0))
    feed(8, b"one", site)
    give = [partial(without_leader, True), turn, partial(feed, 2, b"two")]
    site.run([partial(without_leader, False), *give])
    site.finish()
    site.check()


def test_the_consumer_commits_nothing_that_the_transaction_has_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[object] = []
    commit = MemoryConsumer.commit
    monkeypatch.setattr(
        MemoryConsumer, "commit", lambda self, offsets: commits.append(offsets) or commit(self, offsets)
    )
    site = Site()
    feed(8, b"one", site)
    site.finish()
    site.check()
    assert commits == []


def test_partitions_that_are_lost_take_the_open_transaction_with_them() -> None:
    site = Site(OLD)
    feed(8, b"one", site)
    site.run([rest, rest, throw_out, rest])
    assert any("moved on" in reason for reason in site.reporter.troubles)
    site.finish()
    site.check()


def test_partitions_that_leave_in_time_are_committed_first() -> None:
    site = Site(OLD)
    feed(8, b"one", site)
    seen: list[int] = []

    def look(site: Site) -> None:
        seen.append(site.committed("out").total())

    site.run([rest, rest, look, turn, rest, look])
    assert seen == [0, 6]
    assert site.reporter.troubles == []
    site.finish()
    site.check()


def test_a_commit_without_an_answer_is_thrown_away_and_counts_if_it_was_done() -> None:
    for done in (True, False):
        site = Site(Batch(20, 0.0))
        feed(8, b"one", site)
        site.memory.broker.fail("commit_transaction", RetryableError("no answer"), done=done)
        site.run(until=site.is_done)
        site.check()
        assert len(site.pipelines) == (1 if done else 2)
        assert [one for one in site.reporter.troubles if one] == ["no answer"]


def test_a_long_poll_is_committed_in_parts() -> None:
    site = Site(Batch(1_000, 3_600.0, max_seconds=0.0))
    site.feed(*(b"%d" % number for number in range(700)))
    site.run(until=site.is_done)
    site.check()
    markers = [log.end - len(log.messages) for log in site.memory.broker.topics["out"].logs]
    assert sum(markers) == 3
