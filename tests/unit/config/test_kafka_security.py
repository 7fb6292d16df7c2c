# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""TLS and logins in URIs of Kafka: what belongs together, and that nothing secret is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elworkers.config import kafka_clients
from elworkers.config.endpoints import check_topics
from elworkers.config.kafka_security import SECURITY
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.errors import ConfigurationError
from elworkers.core.passwords import without_passwords

URI = "kafka:///k:1?topic=t"
SCRAM = "security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512&sasl_username=u"
OIDC = "security_protocol=SASL_SSL&sasl_mechanism=OAUTHBEARER&oidc_token_endpoint=https://i/t&oidc_client_id=c"


@pytest.mark.parametrize(
    "check", [check_source, check_sink, lambda text: check_topics(text.replace("topic", "topics"))]
)
@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("security_protocol=ssl", {"security_protocol": "SSL"}),
        (
            "security.protocol=SASL_SSL&sasl.mechanisms=scram-sha-512&sasl.username=u&sasl.password=hunter22",
            {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u", "sasl_password": "hunter22"},
        ),
        (
            "security_protocol=SASL_PLAINTEXT&sasl_mechanism=PLAIN&sasl_plain_username=u&sasl_plain_password=hunter22",
            {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "hunter22"},
        ),
        (
            "security_protocol=SASL_SSL&sasl_mechanism=OAUTHBEARER&sasl.oauthbearer.method=oidc&sasl.oauthbearer.scope=s"
            "&sasl.oauthbearer.client.id=c&sasl.oauthbearer.client.secret=hunter22"
            "&sasl.oauthbearer.token.endpoint.url=https://i/t",
            {"oidc_client_id": "c", "oidc_client_secret": "hunter22", "oidc_token_endpoint": "https://i/t"},
        ),
        ("security_protocol=SSL&ssl_cafile=/dev/null", {"ssl_ca": "/dev/null"}),
        ("security_protocol=SSL&ssl.ca.location=/dev/null", {"ssl_ca": "/dev/null"}),
    ],
)
def test_options_are_read_also_by_the_names_that_clients_have(
    check: Callable[[str], Any], written: str, found: dict[str, str]
) -> None:
    endpoint = check(f"{URI}&{written}")
    assert {name: endpoint.options[name] for name in found} == found
    assert "hunter22" not in str(endpoint)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("security_protocol=TLS", "expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("sasl_password=hunter22", "option sasl_password; expected security_protocol=SASL_SSL or SASL_PLAINTEXT"),
        ("security_protocol=SASL_SSL", "expected sasl_mechanism with it, one of PLAIN, SCRAM-SHA-256"),
        ("security_protocol=SASL_SSL&sasl_password=hunter22", "expected sasl_mechanism with it"),
        ("security_protocol=SASL_SSL&sasl_mechanism=GSSAPI", r"GSSAPI \(Kerberos\) is not in the packages"),
        ("security_protocol=SASL_SSL&sasl_mechanism=MD5", "expected one of PLAIN, SCRAM-SHA-256"),
        ("sasl_kerberos_service_name=kafka", r"GSSAPI \(Kerberos\) is not in the packages"),
        ("security_protocol=SASL_SSL&sasl_mechanism=PLAIN", "expected sasl_username with it"),
        (SCRAM, "expected sasl_password or sasl_password_file with it"),
        (f"{SCRAM}&sasl_password=hunter22&sasl_password_file=/dev/null", "sasl_password_file; expected one of them"),
        (f"{SCRAM}&sasl_password=hunter22&oidc_scope=s", "option oidc_scope; expected sasl_mechanism=OAUTHBEARER"),
        (OIDC, "expected oidc_client_secret or oidc_client_secret_file with it"),
        (f"{OIDC}&oidc_client_secret=hunter22&sasl_username=u", "option sasl_username; expected oidc_client_id and"),
        (f"{OIDC}&oidc_client_secret=hunter22".replace("https://i/t", "i/t"), "a URL as https://HOST/PATH"),
        ("ssl_ca=/dev/null", "option ssl_ca; expected security_protocol=SSL or SASL_SSL with it"),
        ("security_protocol=SSL&ssl_ca=ca.pem", "expected the absolute path of a file"),
        ("security_protocol=SSL&ssl_ca=/no/ca.pem", "option ssl_ca=/no/ca.pem; expected a file that is there"),
        ("security_protocol=SSL&ssl_certificate=/dev/null", "option ssl_certificate; expected ssl_key with it"),
        ("security_protocol=SSL&ssl_key=/dev/null", "option ssl_key; expected ssl_certificate with it"),
        ("security_protocol=SSL&ssl_key_password=hunter22", "option ssl_key_password; expected ssl_key with it"),
        (f"{SCRAM}&sasl_password_file=/no/file", "option sasl_password_file=/no/file; expected a file that is there"),
        ("ssl_check_hostname=False", "names of brokers are always checked"),
        ("ssl_crlfile=/x", "expected rdkafka.ssl.cipher.suites and rdkafka.ssl.crl.location"),
        ("sasl_pasword=hunter22", "did you mean 'sasl_password'"),
    ],
)
def test_what_does_not_belong_together_is_refused(written: str, said: str) -> None:
    for check in (check_source, check_sink):
        with pytest.raises(ConfigurationError, match=said) as caught:
            check(f"{URI}&{written}")
        assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(SECURITY))
def test_a_secret_is_hidden_and_the_file_that_has_it_is_shown(name: str) -> None:
    secret = name in ("sasl_password", "ssl_key_password", "oidc_client_secret")
    text = f"{URI}&{name}=/a/b/c9"
    assert ("/a/b/c9" in without_passwords(text)) is not secret


def test_pykafka_has_tls_and_no_logins() -> None:
    assert check_sink("kafka-pykafka:///k:1?topic=t&security_protocol=SSL").options["security_protocol"] == "SSL"
    with pytest.raises(
        ConfigurationError, match="pykafka has no security_protocol=SASL_SSL; expected kafka-confluent:"
    ):
        check_source(f"kafka-pykafka:///k:1?topic=t&{SCRAM}&sasl_password=hunter22")
    with pytest.raises(ConfigurationError, match=r"pykafka has no rdkafka\.linger\.ms"):
        check_source("kafka-pykafka:///k:1?topic=t&rdkafka.linger.ms=5")


def test_an_output_of_event_errors_reaches_the_brokers_as_the_input_does() -> None:
    source = check_source(f"kafka-confluent:///k:1?topic=t&{SCRAM}&sasl_password=hunter22&rdkafka.linger.ms=5")
    errors = kafka_clients.connected_as(check_sink("kafka:///k:1?topic=errors"), source)
    assert errors.uri.client == "confluent"
    assert errors.options["topic"] == "errors"
    assert kafka_clients.connection(errors.options) == kafka_clients.connection(source.options)
    assert "hunter22" not in str(errors)


def test_files_are_looked_for_when_a_uri_is_checked(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter22\n", encoding="utf-8")
    endpoint = check_source(f"{URI}&{SCRAM}&sasl_password_file={password}")
    assert str(password) in str(endpoint)
