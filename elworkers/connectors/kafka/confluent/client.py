# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures clients of librdkafka, and hears what they say beside their answers.

librdkafka tries connections again for ever, and tells of each failure in a callback: some twenty times a second while a
broker is away. `ClientEvents` keeps the last one for the error that is raised in the end, and logs one line an outage.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError

from elworkers.connectors.kafka import diagnosis
from elworkers.connectors.kafka.client_options import librdkafka_settings
from elworkers.connectors.kafka.confluent import refusals

_OUTAGE_ENDS_S = 60.0
"""Seconds without a failure after which the next one is another outage; librdkafka tries again every second."""

_CURRENT_S = 30.0
"""Seconds for which a failure is taken as the reason why an answer does not come."""

log = structlog.get_logger(__name__)

_client_id = "elworkers"
_failed_at: dict[str, float] = {}
"""Brokers → when a client of this process could not connect last, as `time.monotonic` counts."""


def set_client_id(text: str) -> None:
    """Name this process to the brokers, for every client that is made from now on.

    Args:
        text: at most 200 ASCII characters of it are used.
    """
    global _client_id  # noqa: PLW0603 - the name of the process, as it has one title
    _client_id = text.encode("ascii", "replace")[:200].decode()


class ClientEvents:
    """Takes what one client says beside its answers; both its `error_cb` and its `logger`.

    librdkafka calls it in the thread that polls, and an exception must not cross that.

    Args:
        hosts: the brokers, each `host:port`.

    Attributes:
        all_down: whether no broker could be reached at the last failure.
        options: of the URI, typed; `settings` says them.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._brokers = tuple(hosts)
        self._hosts = ",".join(hosts)
        self.options: Mapping[str, Any] = {}
        self._failure: tuple[KafkaError, float] | None = None
        self._has_answered = False
        self.all_down = False

    @property
    def failure(self) -> KafkaError | None:
        """Why the last connection failed, if that was lately."""
        if self._failure is None or time.monotonic() - self._failure[1] > _CURRENT_S:
            return None
        return self._failure[0]

    def refusal(self, error: KafkaError) -> str:
        """Return who refuses our credentials, and what the answer is; empty where that is not why something failed.

        Asks the brokers itself where librdkafka does not say it, for some seconds at most.

        Args:
            error: why it failed, as far as librdkafka says.
        """
        said = refusals.sentence(error.str(), self.options)
        if said or not (error.code() == KafkaError._SSL or "SSL" in error.str() or self._failure is None):
            return said
        place = refusals.place(error.str())
        found = diagnosis.refusal([place] if place else self._brokers, self.options)
        return str(found).removeprefix("Kafka: ") if found is not None else ""

    def connected(self) -> None:
        """Forget failures: an answer has come."""
        self._failure = None
        self._has_answered = True
        self.all_down = False

    def on_error(self, error: KafkaError) -> None:
        """Take note of a failure; librdkafka's `error_cb`."""
        now = time.monotonic()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            # Told once for each change, after the failures that led to it.
            self.all_down = True
            return
        self._failure = (error, now)
        refused = refusals.sentence(error.str(), self.options)
        if refused and not refusals.place(error.str()):
            # Without a token no broker is tried at all.
            self.all_down = True
        if not self._has_answered and (refused or "SSL" in error.str()):
            # Whoever makes the client will be told, and in better words.
            return
        last = _failed_at.get(self._hosts)
        _failed_at[self._hosts] = now
        if last is None or now - last > _OUTAGE_ENDS_S:
            log.warning(
                "a connection to Kafka failed; it is tried again, and said once",
                code="kafka_connection_failed",
                brokers=self._hosts,
                reason=refused or error.str(),
            )

    def log(self, level: int, text: str, *args: object) -> None:  # noqa: ARG002 - as `logging.Logger` has it
        """Take a line of librdkafka's log: its kind, the client's name and the text."""
        # Failures of connections come by `on_error` as well.
        if not args or args[0] != "FAIL":
            log.debug("librdkafka says", code="kafka_client_log", text=text % args if args else text)


def settings(
    hosts: Iterable[str],
    options: Mapping[str, Any],
    events: ClientEvents | None = None,
    **own: Any,
) -> dict[str, Any]:
    """Return the configuration of a client.

    Args:
        hosts: the brokers, each `host:port`.
        options: of a URI, typed.
        events: hears of failures; None: nobody does.
        own: of this kind of client, by librdkafka's names with `_` for `.`; what the URI says counts more.

    Raises:
        RetryableError: a file of a certificate, a key or a password cannot be used.
    """
    wanted = list(hosts)
    events = events or ClientEvents(wanted)
    events.options = options
    return {
        "bootstrap.servers": ",".join(wanted),
        "client.id": _client_id,
        "error_cb": events.on_error,
        "logger": events,
        # A broker that closes an idle connection is no failure.
        "log.connection.close": False,
        "socket.keepalive.enable": True,
        # Ten seconds otherwise: so long a broker that is back would wait for us.
        "reconnect.backoff.max.ms": 1_000,
        **{name.replace("_", "."): value for name, value in own.items()},
        **librdkafka_settings(options),
    }
