# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Brokers with locked doors, by URIs: the right credentials, and a sentence for each of the wrong ones."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lockeddoors import LockedDoors
from topology import BIN
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver_of
from elworkers.connectors.kafka.errors import CredentialsRefusedError
from elworkers.connectors.registry import check_sink

DEADLINE_S = 60.0
WRONG = "wrong-password-1"


class Uris:
    """URIs of a broker with locked doors.

    Args:
        doors: the broker.
        scheme: of the URIs.
    """

    def __init__(self, doors: LockedDoors, scheme: str = "kafka") -> None:
        self.doors = doors
        self.scheme = scheme

    def of(self, door: str, *options: str, topic: str = "t") -> str:
        """The URI of a door, with these options."""
        return f"{self.scheme}:///{self.doors.hosts[door]}?" + "&".join((f"topic={topic}", *filter(None, options)))

    def tls(self, door: str, ca: str = "ca", certificate: str = "") -> str:
        """By TLS; `ca` and `certificate` are names of files."""
        files = self.doors.files
        own = f"ssl_certificate={files}/{certificate}.pem&ssl_key={files}/{certificate}.key" if certificate else ""
        return self.of(door, "security_protocol=SSL", f"ssl_ca={files}/{ca}.pem", own)

    def login(self, door: str, mechanism: str, password: str = "") -> str:
        """By TLS with the user `admin` and a password."""
        secret = f"sasl_password={password or self.doors.users['admin']}"
        return self.of(door, self._sasl(), f"sasl_mechanism={mechanism}", "sasl_username=admin", secret)

    def oidc(self, secret: str = "", scope: str = "", endpoint: str = "") -> str:
        """By TLS with a token of the client `admin`."""
        return self.of(
            "oidc",
            self._sasl(),
            "sasl_mechanism=OAUTHBEARER",
            f"oidc_token_endpoint={endpoint or f'{self.doors.tokens}/token'}",
            "oidc_client_id=admin",
            f"oidc_client_secret={secret or self.doors.users['admin']}",
            f"oidc_scope={scope}" if scope else "",
        )

    def _sasl(self) -> str:
        return f"security_protocol=SASL_SSL&ssl_ca={self.doors.files}/ca.pem"


def brokers(uri: str) -> set[int]:
    """The brokers that a client with this URI reaches."""
    endpoint = check_sink(uri)
    with contextlib.closing(driver_of(endpoint).admin(endpoint.brokers)) as admin:
        return admin.brokers()


RIGHT: dict[str, Callable[[Uris], str]] = {
    "tls": lambda uris: uris.tls("tls"),
    "mtls": lambda uris: uris.tls("mtls", certificate="admin"),
    "mtls, a key with a password": lambda uris: (
        uris.tls("mtls", certificate="admin").replace("admin.key", "admin-encrypted.key")
        + f"&ssl_key_password={uris.doors.key_password}"
    ),
    "plain": lambda uris: uris.login("plain", "PLAIN"),
    "scram-256": lambda uris: uris.login("scram", "SCRAM-SHA-256"),
    "scram-512": lambda uris: uris.login("scram", "SCRAM-SHA-512"),
    "oidc": lambda uris: uris.oidc(),
}


@pytest.mark.parametrize("way", RIGHT)
@pytest.mark.parametrize("part", ["locked_kafka", "locked_kafka44"])
def test_a_uri_with_the_right_credentials_is_let_in(part: str, way: str, request: pytest.FixtureRequest) -> None:
    assert brokers(RIGHT[way](Uris(request.getfixturevalue(part)))) == {1}


@pytest.mark.parametrize("way", ["tls", "mtls", "mtls, a key with a password"])
def test_pykafka_has_tls(locked_kafka: LockedDoors, way: str) -> None:
    assert brokers(RIGHT[way](Uris(locked_kafka, "kafka-pykafka"))) == {1}


CERTIFICATE = "the certificate of the broker {host} is not accepted: "
ALERT = "by the TLS alert "
TLS_WRONG: dict[str, tuple[str, Callable[[Uris], str], tuple[str, ...]]] = {
    "another CA": (
        "tls",
        lambda uris: uris.tls("tls", "foreign-ca"),
        (CERTIFICATE, "issuer", "ssl_ca={files}/foreign-ca."),
    ),
    "the system's CAs": (
        "tls",
        lambda uris: uris.of("tls", "security_protocol=SSL"),
        (CERTIFICATE, "a file of ssl_ca"),
    ),
    "a broker's expired certificate": ("expired", lambda uris: uris.tls("expired"), (CERTIFICATE, "has expired")),
    "a broker's wrong name": (
        "misnamed",
        lambda uris: uris.tls("misnamed"),
        (CERTIFICATE, "not valid for '127.0.0.1'"),
    ),
    "no certificate": (
        "mtls",
        lambda uris: uris.tls("mtls"),
        ("{host} refuses a client without ssl_certificate", ALERT),
    ),
    "a foreign certificate": (
        "mtls",
        lambda uris: uris.tls("mtls", certificate="foreign"),
        ("{host} refuses the certificate ssl_certificate={files}/foreign.pem", ALERT),
    ),
    "an expired certificate": (
        "mtls",
        lambda uris: uris.tls("mtls", certificate="expired"),
        ("the file ssl_certificate={files}/expired.pem has a certificate that has expired on 2",),
    ),
    "another's key": (
        "mtls",
        lambda uris: uris.tls("mtls", certificate="admin").replace("admin.key", "worker.key"),
        ("the file ssl_key={files}/worker.key has a key that is not that of the certificate in {files}/admin.pem",),
    ),
    "no TLS": ("tls", lambda uris: uris.of("tls"), ("{host} speaks TLS at this port; expected security_protocol=SSL",)),
}
LOGIN_WRONG: dict[str, tuple[str, Callable[[Uris], str], tuple[str, ...]]] = {
    "a wrong password of PLAIN": (
        "plain",
        lambda uris: uris.login("plain", "PLAIN", WRONG),
        ("{host} refuses sasl_username=admin by sasl_mechanism=PLAIN and answers 'Authentication failed",),
    ),
    "a wrong password of SCRAM-256": (
        "scram",
        lambda uris: uris.login("scram", "SCRAM-SHA-256", WRONG),
        ("{host} refuses sasl_username=admin by sasl_mechanism=SCRAM-SHA-256 and answers 'Authentication failed",),
    ),
    "a wrong password of SCRAM-512": (
        "scram",
        lambda uris: uris.login("scram", "SCRAM-SHA-512", WRONG),
        ("{host} refuses sasl_username=admin by sasl_mechanism=SCRAM-SHA-512 and answers 'Authentication failed",),
    ),
    "another mechanism": (
        "scram",
        lambda uris: uris.login("scram", "PLAIN"),
        ("{host} does not take sasl_mechanism=PLAIN, but SCRAM-SHA-",),
    ),
    "no login": ("scram", lambda uris: uris.tls("scram"), ("{host} closes connections without a login; expected",)),
    "a login without TLS": (
        "scram",
        lambda uris: (
            uris.login("scram", "SCRAM-SHA-512")
            .replace("SASL_SSL", "SASL_PLAINTEXT")
            .replace(f"&ssl_ca={uris.doors.files}/ca.pem", "")
        ),
        ("{host} speaks TLS at this port",),
    ),
    "a wrong secret": (
        "oidc",
        lambda uris: uris.oidc(WRONG),
        ("the token server {tokens}/token gives none to admin and answers 'invalid_client,",),
    ),
    "a forged token": (
        "oidc",
        lambda uris: uris.oidc(scope="foreign"),
        ("{host} refuses the token of admin (sasl_mechanism=OAUTHBEARER) and answers 'invalid_token'",),
    ),
    "an expired token": (
        "oidc",
        lambda uris: uris.oidc(scope="expired"),
        ("the token that {tokens}/token gives has expired already",),
    ),
    "no token server": (
        "oidc",
        lambda uris: uris.oidc(endpoint="http://127.0.0.1:1/token"),
        ("the token server http://127.0.0.1:1/token cannot be reached: ",),
    ),
    "a token server that knows nothing": (
        "oidc",
        lambda uris: uris.oidc(endpoint=f"{uris.doors.tokens}/nothing"),
        ("the token server {tokens}/nothing gives none to admin and answers 'not_found'",),
    ),
}


def refused(doors: LockedDoors, uri: str, door: str, expected: tuple[str, ...]) -> None:
    """Look whether a client with this URI is refused in one sentence."""
    with pytest.raises(CredentialsRefusedError) as caught:
        brokers(uri)
    said = str(caught.value)
    for part in expected:
        assert part.format(host=doors.hosts[door], files=doors.files, tokens=doors.tokens) in said
    assert "\n" not in said
    for secret in (WRONG, *doors.users.values(), "***"):
        assert secret not in said


@pytest.mark.parametrize("what", [*TLS_WRONG, *LOGIN_WRONG])
def test_wrong_credentials_are_refused_in_a_sentence(locked_kafka: LockedDoors, what: str) -> None:
    door, uri, expected = {**TLS_WRONG, **LOGIN_WRONG}[what]
    refused(locked_kafka, uri(Uris(locked_kafka)), door, expected)


@pytest.mark.parametrize("what", TLS_WRONG)
def test_pykafka_keeps_the_reason(locked_kafka: LockedDoors, what: str) -> None:
    door, uri, expected = TLS_WRONG[what]
    refused(locked_kafka, uri(Uris(locked_kafka, "kafka-pykafka")), door, expected)


def test_a_confluent_client_without_tls_is_told_so(locked_kafka: LockedDoors) -> None:
    door, uri, expected = TLS_WRONG["no TLS"]
    refused(locked_kafka, uri(Uris(locked_kafka, "kafka-confluent")), door, expected)


def lines(log: Path) -> Iterator[dict[str, Any]]:
    """What a program has logged."""
    for line in log.read_text(encoding="utf-8").splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def test_a_password_that_is_put_right_is_used_without_a_restart(
    locked_kafka: LockedDoors, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    password, log, topic = tmp_path / "password", tmp_path / "log", unique("rotated")
    password.write_text(f"{WRONG}\n", encoding="utf-8")
    uri = Uris(locked_kafka).of(
        "scram",
        f"security_protocol=SASL_SSL&ssl_ca={locked_kafka.files}/ca.pem&sasl_mechanism=SCRAM-SHA-512",
        f"sasl_username=admin&sasl_password_file={password}",
        topic=topic,
    )
    with log.open("wb") as to:
        command = [BIN / "eventlogging-forwarder", "stdin:", f"{uri}&raw=True"]
        forwarder = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=to)
    try:
        assert forwarder.stdin is not None
        forwarder.stdin.write(b"one\n")
        forwarder.stdin.flush()
        waits = "backoff_waiting"
        wait_for(lambda: [one for one in lines(log) if one["code"] == waits], DEADLINE_S, "it waits")
        password.write_text(f"{locked_kafka.users['admin']}\n", encoding="utf-8")
        endpoint = check_sink(uri)
        with contextlib.closing(driver_of(endpoint).admin(endpoint.brokers)) as admin:
            wait_for(lambda: sum(admin.ends(topic).values()) == 1, DEADLINE_S, "the line is there")
        forwarder.stdin.close()
        assert forwarder.wait(DEADLINE_S) == 0
    finally:
        forwarder.kill()
        forwarder.wait()
    (said,) = [one for one in lines(log) if one["level"] in ("warning", "error", "critical")]
    assert "refuses sasl_username=admin by sasl_mechanism=SCRAM-SHA-512 and answers" in said["reason"]
    text = log.read_text(encoding="utf-8")
    assert "Traceback" not in text
    assert not any(secret in text for secret in (WRONG, locked_kafka.users["admin"]))
