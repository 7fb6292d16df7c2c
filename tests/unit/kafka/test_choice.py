# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which Kafka client a URI gets: the one that is named, else the one that can do what is asked for."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping

import pytest

from elworkers.connectors.kafka import choice
from elworkers.connectors.kafka.api_versions import VersionRange, ask
from elworkers.connectors.kafka.choice import client_for
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.errors import CredentialsRefusedError, OutageError, UnsupportedBrokerError
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.errors import ConfigurationError

OLD, NEW = {0: (0, 11), 1: (0, 17)}, {0: (0, 13), 1: (4, 18)}
TIMEOUT_S = 10.0


class Broker:
    """A broker that answers ApiVersions for as long as it is open.

    Attributes:
        host: its address.
        versions: oldest and newest of each request's key; may be changed.
        asked: how often it was.
    """

    def __init__(self, versions: Mapping[int, tuple[int, int]]) -> None:
        self.versions = versions
        self.asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._listening.accept()[0] as connection:
                    connection.settimeout(TIMEOUT_S)
                    connection.recv(1024)
                    self.asked += 1
                    connection.sendall(self.answer())
                    # What comes without a login is not answered.
                    connection.recv(1024)

    def answer(self) -> bytes:
        """What it says, whatever it is asked."""
        rows = [struct.pack(">hhh", key, *between) for key, between in self.versions.items()]
        body = struct.pack(">ihi", 1, 0, len(rows)) + b"".join(rows)
        return struct.pack(">i", len(body)) + body

    def close(self) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            # A thread that waits in accept() would answer once more.
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTLOGGING_KAFKA_DRIVER", raising=False)
    monkeypatch.delenv("EVENTLOGGING_RUN_DIR", raising=False)


@contextlib.contextmanager
def broker(versions: Mapping[int, tuple[int, int]]) -> Iterator[Broker]:
    """A broker with these versions."""
    with contextlib.closing(Broker(versions)) as made:
        yield made


@pytest.mark.parametrize(("versions", "client"), [(OLD, "pykafka"), (NEW, "confluent")])
def test_a_broker_is_asked_once_what_it_takes(versions: Mapping[int, tuple[int, int]], client: str) -> None:
    with broker(versions) as one:
        assert [client_for([one.host], "", {}) for _ in range(3)] == [client] * 3
        assert one.asked == 1


def test_one_broker_that_is_too_new_decides_for_all() -> None:
    with broker(OLD) as old, broker(NEW) as new:
        assert client_for([old.host, new.host], "", {}) == "confluent"


def test_a_broker_that_is_away_does_not_decide() -> None:
    with broker(OLD) as old, broker(NEW) as away:
        away.close()
        assert client_for([away.host, old.host], "", {}) == "pykafka"


def test_where_no_broker_answers_it_is_an_outage_that_is_not_remembered() -> None:
    with broker(OLD) as one:
        one.close()
        for _ in range(2):
            with pytest.raises(OutageError, match=rf"no broker of {one.host} answers \(Connection refused\)"):
                client_for([one.host], "", {})


@pytest.mark.parametrize("client", ["pykafka", "confluent"])
def test_a_named_client_is_taken_without_a_question(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with broker(NEW) as one:
        assert client_for([one.host], client, {}) == client
        monkeypatch.setenv("EVENTLOGGING_KAFKA_DRIVER", client)
        assert client_for([one.host], "", {}) == client
        assert one.asked == 0


def test_a_scheme_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTLOGGING_KAFKA_DRIVER", "pykafka")
    assert client_for(["k:1"], "confluent", {}) == "confluent"


def test_a_client_that_is_none_is_an_error_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTLOGGING_KAFKA_DRIVER", "librdkafka")
    with pytest.raises(ConfigurationError, match="EVENTLOGGING_KAFKA_DRIVER=librdkafka; expected pykafka or confluent"):
        driver(["k:1"])


@pytest.mark.parametrize("option", ["compression=zstd", "compression=lz4"])
def test_what_pykafka_does_not_have_needs_no_question(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"///k:1?topic=t&{option}"
    assert client_for(["k:1"], "", check_sink(f"kafka:{uri}").options) == "confluent"
    refused = f"pykafka has no {option}; expected kafka-confluent:"
    with pytest.raises(ConfigurationError, match=refused):
        check_sink(f"kafka-pykafka:{uri}")
    monkeypatch.setenv("EVENTLOGGING_KAFKA_DRIVER", "pykafka")
    with pytest.raises(ConfigurationError, match=refused):
        client_for(["k:1"], "", check_sink(f"kafka:{uri}").options)


def test_a_broker_that_became_too_new_is_an_outage_and_gets_the_other_client_next() -> None:
    with broker(OLD) as one:
        chosen = driver([one.host])
        one.versions = NEW
        with pytest.raises(OutageError, match=f"{one.host} is too new for pykafka .* now"):
            chosen.admin([one.host])
        assert client_for([one.host], "", {}) == "confluent"


def test_a_broker_that_is_too_new_for_the_client_that_was_named_ends_the_program() -> None:
    with broker(NEW) as one, pytest.raises(UnsupportedBrokerError, match="write kafka-confluent: in place of"):
        driver([one.host], "pykafka").admin([one.host])


def test_which_client_was_chosen_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    with broker(NEW) as one:
        for _ in range(2):
            client_for([one.host], "", {})
        said = [line for line in capfd.readouterr().out.splitlines() if one.host in line]
    assert len(said) == 1
    assert f"the broker {one.host} is too new for pykafka" in said[0]


def test_the_versions_are_told_by_request() -> None:
    with broker(NEW) as one:
        assert ask(one.host) == {0: VersionRange(0, 13), 1: VersionRange(4, 18)}
    assert choice.is_too_old({0: VersionRange(0, 0), 1: VersionRange(0, 2)})


def test_a_broker_that_wants_a_login_is_told_from_one_that_is_away() -> None:
    class Locked(Broker):
        def _serve(self) -> None:
            with self._listening.accept()[0] as connection:
                connection.recv(1024)
                connection.sendall(self.answer())

    with (
        contextlib.closing(Locked({**OLD, 3: (0, 12)})) as one,
        pytest.raises(
            CredentialsRefusedError,
            match=f"{one.host} closes connections without a login; expected security_protocol=SASL",
        ),
    ):
        ask(one.host)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x46", CredentialsRefusedError, "speaks TLS at this port"),
        (b"HTTP/1.1 400 Bad Request\r\n", OutageError, "is no broker"),
        (b"\x00\x00", OutageError, "closed the connection in the middle"),
    ],
)
def test_what_is_no_answer_is_told_by_what_it_is(answer: bytes, error: type[Exception], said: str) -> None:
    class Other(Broker):
        def _serve(self) -> None:
            with self._listening.accept()[0] as connection:
                connection.recv(1024)
                connection.sendall(answer)

    with contextlib.closing(Other({})) as one, pytest.raises(error, match=said):
        ask(one.host)


def test_the_clients_scheme_stays_with_a_uri() -> None:
    for scheme, client in (
        ("kafka", ""),
        ("kafka-python", ""),
        ("kafka-confluent", "confluent"),
        ("confluent-kafka", "confluent"),
        ("KAFKA-pykafka", "pykafka"),
    ):
        uri = check_source(f"{scheme}:///k:1?topic=t").uri
        assert (uri.scheme, uri.client) == ("kafka", client)
        assert str(uri).startswith(f"kafka-{client}://k:1?" if client else "kafka://k:1?")
    with pytest.raises(ConfigurationError, match="did you mean 'kafka-confluent'"):
        check_source("kafka-confluant:///k:1?topic=t")
