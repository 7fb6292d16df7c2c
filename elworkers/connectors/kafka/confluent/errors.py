# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns librdkafka's errors into this program's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from confluent_kafka import KafkaError, KafkaException

from elworkers.connectors.kafka.confluent.client import ClientEvents
from elworkers.connectors.kafka.errors import (
    CredentialsRefusedError,
    NotAuthorizedError,
    OutageError,
    UnsupportedBrokerError,
)
from elworkers.core.errors import ConfigurationError

_CREDENTIALS = frozenset((KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED))

_TLS = frozenset((KafkaError._SSL,))

_NOT_AUTHORIZED = frozenset(
    (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    )
)

_UNSUPPORTED = frozenset((KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE))

_NO_ANSWER = frozenset(
    (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT_QUEUE)
)
"""Codes that do not say why; the last failure of a connection does."""

_SENTENCES = {
    KafkaError.FENCED_INSTANCE_ID: "another client has come as the same static member (static_membership=True)",
    KafkaError.UNRELEASED_INSTANCE_ID: "the group waits for this worker's predecessor until its session has timed out"
    " (static_membership=True)",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "members of the group use another Kafka client, and the two cannot share a"
    " group: end all instances of one driver before those of the other start",
}
"""What librdkafka's own words do not tell an operator."""


def translated(error: KafkaError, operation: str, events: ClientEvents | None = None) -> Exception:
    """Return the error of `connectors.kafka.errors` for one of librdkafka's.

    Args:
        error: an answer, or why there is none.
        operation: what was to be done.
        events: of the client.
    """
    code = error.code()
    failure = events.failure if events is not None else None
    if code in _NO_ANSWER and failure is not None:
        error, code = failure, failure.code()
    if code == KafkaError._FATAL:
        # Only its text has the answer that ended the client.
        code = next((one for one in _SENTENCES if KafkaError(one).str() in error.str()), code)
    if events is not None and code in _CREDENTIALS | _NO_ANSWER | _TLS and (refusal := events.refusal(error)):
        return CredentialsRefusedError(f"Kafka: {operation}: {refusal}")
    text = f"Kafka: {operation}: {_SENTENCES.get(code) or error.str()} ({KafkaError(code).name()})"
    if code in _CREDENTIALS:
        return CredentialsRefusedError(text)
    if code in _NOT_AUTHORIZED:
        return NotAuthorizedError(text)
    if code in _UNSUPPORTED:
        return UnsupportedBrokerError(text)
    return OutageError(text)


@contextlib.contextmanager
def translate_errors(operation: str, events: ClientEvents | None = None) -> Iterator[None]:
    """Turn what librdkafka raises into an error of `connectors.kafka.errors`.

    Args:
        operation: what is done, for the error's text.
        events: of the client that does it.
    """
    try:
        yield
    except KafkaException as error:
        raise translated(error.args[0], operation, events) from error


@contextlib.contextmanager
def configuration_errors(what: str) -> Iterator[None]:
    """Turn librdkafka's refusal of a setting into a `ConfigurationError`.

    Args:
        what: the client that is made.

    Raises:
        ConfigurationError: it does not know a setting, or the settings contradict each other.
    """
    try:
        yield
    except KafkaException as error:
        raise ConfigurationError(f"Kafka: {what}: librdkafka refuses a setting: {error.args[0].str()}") from error
