# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns a URI's options for TLS, logins and librdkafka into settings of a client, reading files anew each time.

A file may be replaced while workers run, so what is wrong with one is waited out, as an outage is. It is looked at here
because brokers say the same of a certificate that is missing, expired or another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elworkers.config.kafka_security import OAUTHBEARER, PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL
from elworkers.config.librdkafka import PREFIX
from elworkers.connectors.kafka.errors import CredentialsRefusedError
from elworkers.core import regular_file
from elworkers.core.passwords import remember

_LONGEST_SECRET = 10_000


def librdkafka_settings(options: Mapping[str, Any]) -> dict[str, str | int]:
    """Return librdkafka's settings for the security and `rdkafka.NAME` options of a URI.

    Args:
        options: of a `kafka:` URI, typed and checked.

    Raises:
        CredentialsRefusedError: a file cannot be read, or its certificate or key cannot be used.
    """
    protocol = options.get("security_protocol") or PLAINTEXT
    settings: dict[str, str | int] = dict(options.get(PREFIX, ()))
    if protocol == PLAINTEXT:
        return settings
    settings["security.protocol"] = protocol
    if protocol in (SSL, SASL_SSL):
        settings |= _tls(options)
    if protocol in (SASL_PLAINTEXT, SASL_SSL):
        settings |= _login(options)
    return settings


def _tls(options: Mapping[str, Any]) -> dict[str, str | int]:
    settings: dict[str, str | int] = {}
    if ca := options.get("ssl_ca"):
        check_ca("ssl_ca", ca)
        settings["ssl.ca.location"] = ca
    if certificate := options.get("ssl_certificate"):
        password = secret(options, "ssl_key_password")
        check_certificate(certificate, options["ssl_key"], password)
        settings |= {"ssl.certificate.location": certificate, "ssl.key.location": options["ssl_key"]}
        if password is not None:
            settings["ssl.key.password"] = password
    return settings


def _login(options: Mapping[str, Any]) -> dict[str, str | int]:
    settings: dict[str, str | int] = {"sasl.mechanism": options["sasl_mechanism"]}
    if options["sasl_mechanism"] != OAUTHBEARER:
        password = secret(options, "sasl_password") or ""
        return {**settings, "sasl.username": options["sasl_username"], "sasl.password": password}
    settings |= {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": options["oidc_token_endpoint"],
        "sasl.oauthbearer.client.id": options["oidc_client_id"],
        "sasl.oauthbearer.client.secret": secret(options, "oidc_client_secret") or "",
    }
    if options.get("oidc_scope"):
        settings["sasl.oauthbearer.scope"] = options["oidc_scope"]
    if ca := options.get("oidc_ca"):
        check_ca("oidc_ca", ca)
        settings["https.ca.location"] = ca
    return settings


def secret(options: Mapping[str, Any], name: str) -> str | None:
    """Return a secret that stands in an option or in the file that `<name>_file` names; None where neither is given.

    Raises:
        CredentialsRefusedError: the file cannot be read, or holds something else.
    """
    given: str | None = options.get(name)
    path = options.get(f"{name}_file")
    if not path:
        return given
    try:
        text = _read(f"{name}_file", path, 4 * _LONGEST_SECRET + 2).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _unusable(f"{name}_file", path, "is not UTF-8") from None
    if not text or len(text) > _LONGEST_SECRET or "\n" in text or "\0" in text:
        raise _unusable(f"{name}_file", path, f"does not hold one line of 1 to {_LONGEST_SECRET} characters")
    remember(text)
    return text


def check_ca(name: str, path: str) -> None:
    """Look whether a file has certificates of CAs that are valid now.

    Args:
        name: of the option.
        path: of the file.

    Raises:
        CredentialsRefusedError: it has none, or cannot be read.
    """
    from elworkers.connectors.kafka import certificates

    if why := certificates.wrong_with_ca(_read(name, path)):
        raise _unusable(name, path, why)


def check_certificate(path: str, key_path: str, password: str | None) -> None:
    """Look whether a client's certificate is valid now, and the key is its own.

    Raises:
        CredentialsRefusedError: it is not, or a file cannot be read.
    """
    from elworkers.connectors.kafka import certificates

    certificate = _read("ssl_certificate", path)
    if why := certificates.wrong_with_certificate(certificate):
        raise _unusable("ssl_certificate", path, why)
    if why := certificates.wrong_with_key(_read("ssl_key", key_path), password, certificate, path):
        raise _unusable("ssl_key", key_path, why)


def _read(name: str, path: str, limit: int = 4 * 1024 * 1024) -> bytes:
    try:
        return regular_file.read(Path(path), limit)
    except OSError as error:
        raise _unusable(name, path, f"cannot be read: {error.strerror or error}") from None


def _unusable(name: str, path: str, why: str) -> CredentialsRefusedError:
    return CredentialsRefusedError(f"Kafka: the file {name}={path} {why}")
