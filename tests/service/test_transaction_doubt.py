# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Requests that end a transaction and arrive inside the next one, on real brokers: why `confluent.doubt` is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import modern
import pytest
from kafkaproxy import KafkaProxy

from elworkers.connectors.kafka.confluent.transactional_client import Timeouts, TransactionalClient
from elworkers.connectors.kafka.confluent.transactional_producer import ConfluentTransactionalProducer
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.sink import settings
from elworkers.connectors.registry import check_sink
from elworkers.core.contracts import Record

Unique = Callable[[str], str]

TIMEOUTS = Timeouts(transaction_ms=20_000, request_ms=600, call_s=15.0)
FENCED = {47, 90}
KEYS = {b"a": b"one", b"b": b"two"}
"""First letter of a value → a key; of two partitions they lead to different ones."""


@pytest.fixture(params=["kafka", "kafka44"])
def broker(request: pytest.FixtureRequest) -> str:
    """`host:port` of an old and of the newest Kafka in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def proxy(broker: str) -> Iterator[KafkaProxy]:
    made = KafkaProxy(broker)
    yield made
    made.close()


class Writer:
    """A transactional producer behind the proxy, to a topic of two partitions."""

    def __init__(self, broker: str, proxy: KafkaProxy, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        modern.create(broker, topic, 2)
        options = check_sink(f"kafka:///{proxy.address}?topic={topic}").options
        self.producer = ConfluentTransactionalProducer(
            [proxy.address], settings(options), {}, _no_reader, f"id-{topic}", timeouts=TIMEOUTS
        )

    def write(self, value: bytes) -> None:
        """Write to the partition of the value's first letter."""
        self.producer.produce([Record(value)], lambda _: (self._topic, KEYS[value[:1]]))
        assert self.producer.flush() == []

    def committed(self) -> set[bytes]:
        """What a reader of committed records sees, once no transaction is open."""
        return set(modern.committed_values(self._broker, self._topic, 2))


def _no_reader(_: int) -> Reader:
    raise AssertionError("no topic is of a schema")


@pytest.fixture
def writer(broker: str, proxy: KafkaProxy, unique: Unique) -> Iterator[Writer]:
    made = Writer(broker, proxy, unique("doubt"))
    yield made
    made.producer.close()


def first_transaction(writer: Writer, proxy: KafkaProxy, *, commit: bool, cut: bool) -> None:
    """Have a transaction whose end comes to the broker by the client's second request alone."""
    writer.producer.begin()
    writer.write(b"a1")
    proxy.hold(lambda one: one.commit == commit, cut=cut)
    if commit:
        writer.producer.commit()
    else:
        writer.producer.abort()
    assert len(proxy.held) == 1


CASES = pytest.mark.parametrize("cut", [False, True], ids=["timed out", "cut"])


def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have librdkafka believed, whatever its log says."""
    monkeypatch.setattr(TransactionalClient, "doubt", "")


class TestWithoutTheGuard:
    """What librdkafka alone makes of it."""

    @CASES
    def test_a_late_commit_commits_half_of_an_aborted_transaction(
        self, writer: Writer, proxy: KafkaProxy, monkeypatch: pytest.MonkeyPatch, cut: bool
    ) -> None:
        unguarded(monkeypatch)
        first_transaction(writer, proxy, commit=True, cut=cut)
        writer.producer.begin()
        writer.write(b"a2")
        assert proxy.release() == [0]
        writer.write(b"b2")
        writer.producer.abort()
        assert writer.committed() == {b"a1", b"a2"}

    @CASES
    def test_a_late_abort_loses_half_of_a_committed_transaction(
        self, writer: Writer, proxy: KafkaProxy, monkeypatch: pytest.MonkeyPatch, cut: bool
    ) -> None:
        unguarded(monkeypatch)
        first_transaction(writer, proxy, commit=False, cut=cut)
        writer.producer.begin()
        writer.write(b"a2")
        assert proxy.release() == [0]
        writer.write(b"b2")
        writer.producer.commit()
        assert writer.committed() == {b"b2"}


class TestWithTheGuard:
    """What this program makes of it."""

    @CASES
    @pytest.mark.parametrize("commit", [True, False], ids=["commit", "abort"])
    def test_what_comes_late_is_refused(self, writer: Writer, proxy: KafkaProxy, commit: bool, cut: bool) -> None:
        first_transaction(writer, proxy, commit=commit, cut=cut)
        writer.producer.begin()
        writer.write(b"a2")
        (code,) = proxy.release()
        assert code in FENCED
        writer.write(b"b2")
        if commit:
            writer.producer.abort()
            assert writer.committed() == {b"a1"}
        else:
            writer.producer.commit()
            assert writer.committed() == {b"a2", b"b2"}
