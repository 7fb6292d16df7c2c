# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Errors of the library become outages; bugs of ours stay what they are, whatever they look like."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace

import pytest
from pykafka.exceptions import (
    GroupAuthorizationFailed,
    KafkaException,
    SocketDisconnectedError,
    TopicAuthorizationFailed,
)
from pykafka.utils import struct_helpers

from elworkers.connectors.kafka.errors import NotAuthorizedError, OutageError, UnsupportedBrokerError
from elworkers.connectors.kafka.pykafka import client
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


def test_a_broker_without_the_old_formats_is_too_new() -> None:
    versions = {1: SimpleNamespace(min=4)}
    with pytest.raises(UnsupportedBrokerError, match="too new for pykafka"):
        client._refuse_too_new("h:9092", versions)
