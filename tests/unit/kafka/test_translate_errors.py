# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Errors of the library become outages; bugs of ours stay what they are, whatever they look like."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from pykafka.exceptions import (
    GroupAuthorizationFailed,
    KafkaException,
    LeaderNotAvailable,
    SocketDisconnectedError,
    TopicAuthorizationFailed,
)
from pykafka.utils import struct_helpers

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.error_codes import creation_error
from elworkers.connectors.kafka.errors import NotAuthorizedError, OutageError, UnsupportedBrokerError
from elworkers.connectors.kafka.pykafka import client, consumer_positions
from elworkers.connectors.kafka.pykafka.library_errors import library_error
from elworkers.connectors.kafka.pykafka.messages import partition_responses
from elworkers.core.errors import ConfigurationError, RetryableError


@pytest.mark.parametrize("error", [AttributeError, KeyError, TypeError, struct.error, ReferenceError, AssertionError])
def test_a_bug_of_ours_is_no_outage(error: type[Exception]) -> None:
    with pytest.raises(error, match="planted"), client.translate_errors("read topic t"):
        raise error("planted")


def test_a_bug_in_what_reads_answers_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elworkers.connectors.kafka.pykafka.messages._PARTITION", None)
    answer = struct.pack(">iih", 0, 1, 1) + b"t" + struct.pack(">i", 1) + bytes(30)
    with pytest.raises(AttributeError, match="unpack_from"), client.translate_errors("read topic t"):
        list(partition_responses(answer))


def test_what_the_library_stumbles_over_is_an_outage() -> None:
    with pytest.raises(RetryableError, match=r"read topic t: .*\(error\)"), client.translate_errors("read topic t"):
        struct_helpers.unpack_from("ii", b"123", 0)
    with pytest.raises(RetryableError, match=r"read topic t"), client.translate_errors("read topic t"):
        struct_helpers.unpack_from(None, b"123", 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SocketDisconnectedError(), "the broker has closed the connection"),
        (SocketDisconnectedError("<broker b'nohost.invalid':92>"), r"to nohost\.invalid:92 .* cannot be resolved"),
        (SocketDisconnectedError("<broker 127.0.0.1:92>"), r"no connection to 127\.0\.0\.1:92"),
        (KafkaException(), "the library says no more"),
        (KafkaException("Unable to connect to a broker to fetch metadata. See logs."), "Unable to connect"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
    ],
)
def test_each_error_of_the_library_is_a_sentence(error: Exception, said: str) -> None:
    with pytest.raises(RetryableError, match=said) as caught, client.translate_errors("connect to h:9092"):
        raise error
    assert "no detail" not in str(caught.value)
    assert "See logs" not in str(caught.value)
    assert "h:9092" in str(caught.value)


@pytest.mark.parametrize("error", [ConfigurationError("x"), RetryableError("x")])
def test_our_own_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)), client.translate_errors("read"):
        raise error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SocketDisconnectedError(), OutageError),
        (ConnectionRefusedError(), OutageError),
        (TopicAuthorizationFailed(), NotAuthorizedError),
        (GroupAuthorizationFailed(), NotAuthorizedError),
    ],
)
def test_errors_of_the_library_get_the_kind_that_the_driver_promises(
    error: Exception, kind: type[RetryableError]
) -> None:
    with pytest.raises(RetryableError) as caught, client.translate_errors("read topic t"):
        raise error
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [(29, TopicAuthorizationFailed), (31, NotAuthorizedError), (5, LeaderNotAvailable), (56, KafkaException)],
)
def test_each_code_has_an_error_also_those_that_the_library_does_not_know(code: int, kind: type[Exception]) -> None:
    error = library_error(code, "offsets cannot be read")
    assert type(error) is kind
    assert f"Kafka's error {code}" in str(error)


def test_a_partition_whose_disk_has_failed_is_no_bug() -> None:
    limits = {0: SimpleNamespace(err=56, offset=[])}
    with pytest.raises(OutageError, match="the broker's disk"), client.translate_errors("join group g"):
        consumer_positions._offset(0, limits)


@pytest.mark.parametrize(
    ("code", "kind"), [(29, NotAuthorizedError), (31, NotAuthorizedError), (7, OutageError), (89, OutageError)]
)
def test_a_topic_that_cannot_be_made_now_says_whether_somebody_has_to_allow_it(
    code: int, kind: type[RetryableError]
) -> None:
    assert type(creation_error("t", code, 1, 1)) is kind


def broker(versions: Mapping[int, tuple[int, int]]) -> str:
    """A broker that says which versions of requests it has, and ends; its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listening, listening.accept()[0] as connection:
            connection.recv(1024)
            rows = [struct.pack(">hhh", api, *between) for api, between in versions.items()]
            body = struct.pack(">ihi", 0, 0, len(rows)) + b"".join(rows)
            connection.sendall(struct.pack(">i", len(body)) + body)

    threading.Thread(target=answer, daemon=True).start()
    return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({0: (3, 12), 1: (4, 17)}, "too new for pykafka"),
        ({0: (0, 12), 1: (4, 17)}, "too new for pykafka"),
        ({0: (0, 1), 1: (0, 1)}, "too old"),
        ({0: (0, 0), 1: (0, 2)}, "too old"),
        ({}, "too old"),
    ],
)
def test_a_broker_that_is_too_new_or_too_old_is_named(versions: Mapping[int, tuple[int, int]], said: str) -> None:
    host = broker(versions)
    with pytest.raises(UnsupportedBrokerError, match=f"the broker {host} is {said}"):
        driver().admin([host])
