# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The devstack's brokers with locked doors: each lets the right ones in, and nobody else."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable, Mapping

import pytest
import requests
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from lockeddoors import LockedDoors
from waiting import wait_for

from elworkers.devstack import asking
from elworkers.devstack.locked import LISTENERS

DEADLINE_S = 30.0
TIMEOUT_S = 10.0
WAYS = (
    ("tls", ""),
    ("mtls", ""),
    ("plain", ""),
    ("scram", "SCRAM-SHA-256"),
    ("scram", "SCRAM-SHA-512"),
    ("oidc", ""),
)


@pytest.fixture(scope="module", params=["locked_kafka", "locked_kafka44"], ids=["3.9", "newest"])
def doors(request: pytest.FixtureRequest) -> LockedDoors:
    found: LockedDoors = request.getfixturevalue(request.param)
    return found


def brokers(settings: Mapping[str, str]) -> set[int]:
    """Who is there, for a client with these settings."""
    admin = AdminClient({**settings, "log_level": 0}, error_cb=lambda _error: None)
    return set(admin.list_topics(timeout=TIMEOUT_S).brokers)


def refusal(settings: Mapping[str, str]) -> str:
    """Why a client with these settings is not let in."""
    said: list[str] = []

    def told(error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            said.append(error.str())

    admin = AdminClient({**settings, "log_level": 0}, error_cb=told)
    wait_for(lambda: (admin.poll(0.1), said)[1], DEADLINE_S, "a reason")
    return said[0]


@pytest.mark.parametrize(("door", "mechanism"), WAYS)
def test_who_has_the_key_is_let_in(doors: LockedDoors, door: str, mechanism: str) -> None:
    assert brokers(doors.librdkafka(door, mechanism=mechanism)) == {1}


def test_no_door_is_open(doors: LockedDoors) -> None:
    assert set(doors.hosts) == set(LISTENERS)
    for place in doors.hosts.values():
        host, _, port = place.partition(":")
        assert asking.cluster(host, int(port)) == asking.Cluster()


@pytest.mark.parametrize("door", ["plain", "scram", "oidc", "mtls"])
def test_tls_alone_opens_no_other_door(doors: LockedDoors, door: str) -> None:
    context = ssl.create_default_context(cafile=doors.files / "ca.pem")
    host, _, port = doors.hosts[door].partition(":")
    assert asking.cluster(host, int(port), context) == asking.Cluster()


def shown(doors: LockedDoors, name: str) -> dict[str, str]:
    files = doors.files
    return {"ssl.certificate.location": str(files / f"{name}.pem"), "ssl.key.location": str(files / f"{name}.key")}


Change = Callable[[LockedDoors], dict[str, str]]
# What is wrong: the door, what is changed, and what is said.
WRONG: dict[str, tuple[str, Change, str]] = {
    "another CA": ("tls", lambda doors: {"ssl.ca.location": str(doors.files / "foreign-ca.pem")}, "verify failed"),
    "a server's certificate that has expired": ("expired", lambda _: {}, "verify failed"),
    "a server's certificate for another host": ("misnamed", lambda _: {}, "verify failed"),
    "no certificate": ("mtls", lambda _: {"ssl.certificate.location": "", "ssl.key.location": ""}, "alert|closed"),
    "an expired certificate": ("mtls", lambda doors: shown(doors, "expired"), "alert|closed"),
    "a foreign certificate": ("mtls", lambda doors: shown(doors, "foreign"), "alert|closed"),
    "a wrong password for PLAIN": ("plain", lambda _: {"sasl.password": "wrong"}, "Authentication failed"),
    "a wrong password for SCRAM": ("scram", lambda _: {"sasl.password": "wrong"}, "Authentication failed"),
    "PLAIN where SCRAM is": ("scram", lambda _: {"sasl.mechanism": "PLAIN"}, "mechanisms: SCRAM"),
    "a wrong secret": ("oidc", lambda _: {"sasl.oauthbearer.client.secret": "wrong"}, "invalid_client"),
    "a forged token": ("oidc", lambda _: {"sasl.oauthbearer.scope": "foreign"}, "invalid_token"),
    "an expired token": ("oidc", lambda _: {"sasl.oauthbearer.scope": "expired"}, "."),
}


@pytest.mark.parametrize("what", WRONG)
def test_who_has_the_wrong_key_is_told_so(doors: LockedDoors, what: str) -> None:
    door, changed, expected = WRONG[what]
    settings = {name: value for name, value in {**doors.librdkafka(door), **changed(doors)}.items() if value}
    assert re.search(expected, refusal(settings))


def test_a_key_that_is_not_the_certificates_makes_no_client(doors: LockedDoors) -> None:
    settings = doors.librdkafka("mtls") | {"ssl.key.location": str(doors.files / "worker.key")}
    with pytest.raises(KafkaException, match="key"):
        AdminClient({**settings, "log_level": 0})


def test_a_key_with_a_password(doors: LockedDoors) -> None:
    settings = doors.librdkafka("mtls") | {"ssl.key.location": str(doors.files / "admin-encrypted.key")}
    assert brokers({**settings, "ssl.key.password": doors.key_password}) == {1}


@pytest.mark.parametrize("door", ["mtls", "plain", "scram", "oidc"])
def test_a_worker_may_do_what_it_was_allowed_to(doors: LockedDoors, unique: Callable[[str], str], door: str) -> None:
    topic = unique("locked")
    admin = AdminClient({**doors.librdkafka("scram"), "log_level": 0})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(DEADLINE_S)

    def produced() -> str:
        """What the broker says: nothing when it has taken it."""
        said: list[str] = []
        producer = Producer({**doors.librdkafka(door, "worker"), "log_level": 0})
        producer.produce(topic, b"a", on_delivery=lambda error, _: said.append(error.name() if error else ""))
        producer.flush(DEADLINE_S)
        return said[0]

    assert produced() == "TOPIC_AUTHORIZATION_FAILED"
    acl = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:worker", "*", AclOperation.WRITE)
    binding = AclBinding(*acl, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(DEADLINE_S)
    wait_for(lambda: produced() == "", DEADLINE_S, "the right to write")


def test_the_token_server_is_an_openid_provider(doors: LockedDoors) -> None:
    known = requests.get(f"{doors.tokens}/.well-known/openid-configuration", timeout=DEADLINE_S).json()
    (key,) = requests.get(known["jwks_uri"], timeout=DEADLINE_S).json()["keys"]
    assert key["alg"] == "RS256"
    grant = {"grant_type": "client_credentials", "scope": "brief"}
    wrong = requests.post(known["token_endpoint"], grant, auth=("worker", "wrong"), timeout=DEADLINE_S)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    right = requests.post(known["token_endpoint"], grant, auth=("worker", doors.users["worker"]), timeout=DEADLINE_S)
    assert right.json()["expires_in"] == 10
    claims = json.loads(base64.urlsafe_b64decode(right.json()["access_token"].split(".")[1] + "=="))
    assert (claims["sub"], claims["iss"], claims["exp"] - claims["iat"]) == ("worker", known["issuer"], 11)
