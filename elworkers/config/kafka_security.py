# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares the options of `kafka:` URIs for TLS and logins, and says which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from elworkers.config.uris import Option, Options
from elworkers.core.errors import ConfigurationError

PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL = PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
OAUTHBEARER = "OAUTHBEARER"
_PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = (*_PASSWORD_MECHANISMS, OAUTHBEARER)


def _protocol(text: str) -> str:
    if text.upper() not in PROTOCOLS:
        raise ValueError(f"one of {', '.join(PROTOCOLS)}")
    return text.upper()


def _mechanism(text: str) -> str:
    if text.upper() == "GSSAPI":
        raise ValueError(f"one of {', '.join(MECHANISMS)}; GSSAPI (Kerberos) is not in the packages of confluent-kafka")
    if text.upper() not in MECHANISMS:
        raise ValueError(f"one of {', '.join(MECHANISMS)}")
    return text.upper()


def _path(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("the absolute path of a file")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text) or parts.username:
        raise ValueError("a URL as https://HOST/PATH, without a login in it")
    return text


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a text")
    return text


SECURITY: Options = {
    "security_protocol": Option(
        _protocol, None, f"how brokers are spoken to: {', '.join(PROTOCOLS)} (default: PLAINTEXT)"
    ),
    "ssl_ca": Option(_path, None, "file of CA certificates to verify brokers with (default: the system's)"),
    "ssl_certificate": Option(_path, None, "file of this client's certificate, and of those that lead to its CA"),
    "ssl_key": Option(_path, None, "file of the certificate's private key"),
    "ssl_key_password": Option(_text, None, "password of the private key"),
    "ssl_key_password_file": Option(_path, None, "file that has it in one line"),
    "sasl_mechanism": Option(_mechanism, None, f"how to log in: {', '.join(MECHANISMS)}"),
    "sasl_username": Option(_text, None, "user of PLAIN and SCRAM"),
    "sasl_password": Option(_text, None, "its password"),
    "sasl_password_file": Option(_path, None, "file that has it in one line"),
    "oidc_token_endpoint": Option(_url, None, "OAUTHBEARER: URL that tokens are asked for at"),
    "oidc_client_id": Option(_text, None, "OAUTHBEARER: name of this client there"),
    "oidc_client_secret": Option(_text, None, "OAUTHBEARER: its secret"),
    "oidc_client_secret_file": Option(_path, None, "OAUTHBEARER: file that has it in one line"),
    "oidc_scope": Option(_text, None, "OAUTHBEARER: scope of the tokens"),
    "oidc_ca": Option(
        _path, None, "OAUTHBEARER: file of CA certificates to verify that server with (default: the system's)"
    ),
}
"""Files are read anew for each client."""

FILES = (
    "ssl_ca",
    "ssl_certificate",
    "ssl_key",
    "ssl_key_password_file",
    "sasl_password_file",
    "oidc_client_secret_file",
    "oidc_ca",
)
"""Options that name files."""

_SASL = tuple(name for name in SECURITY if name.startswith(("sasl_", "oidc_")))
_OIDC = tuple(name for name in SECURITY if name.startswith("oidc_"))
_SSL = tuple(name for name in SECURITY if name.startswith("ssl_"))


def check(options: Mapping[str, Any]) -> None:
    """Look whether the options mean something together, and whether the files are there.

    Raises:
        ConfigurationError: they do not, or one is missing.
    """
    protocol = options.get("security_protocol") or PLAINTEXT
    if protocol not in (SSL, SASL_SSL):
        _refuse(options, _SSL, "security_protocol=SSL or SASL_SSL with it")
    if protocol not in (SASL_PLAINTEXT, SASL_SSL):
        _refuse(options, _SASL, "security_protocol=SASL_SSL or SASL_PLAINTEXT with it")
    else:
        _check_login(options, protocol)
    for one, other in (("ssl_certificate", "ssl_key"), ("ssl_key", "ssl_certificate")):
        if options.get(one):
            _require(options, one, other)
    for secret in ("ssl_key_password", "sasl_password", "oidc_client_secret"):
        _one_at_most(options, secret)
    if not options.get("ssl_key"):
        _refuse(options, ("ssl_key_password", "ssl_key_password_file"), "ssl_key with it")
    for name in FILES:
        if options.get(name) and _is_missing(options[name]):
            raise ConfigurationError(f"kafka URI: option {name}={options[name]}; expected a file that is there")


def _check_login(options: Mapping[str, Any], protocol: str) -> None:
    mechanism = options.get("sasl_mechanism")
    if not mechanism:
        raise ConfigurationError(
            f"kafka URI: option security_protocol={protocol}; expected sasl_mechanism with it, one of"
            f" {', '.join(MECHANISMS)}"
        )
    given = f"sasl_mechanism={mechanism}"
    if mechanism == OAUTHBEARER:
        _refuse(options, ("sasl_username", "sasl_password", "sasl_password_file"), "oidc_client_id and its secret")
        _require(options, given, "oidc_token_endpoint")
        _require(options, given, "oidc_client_id")
        _require(options, given, "oidc_client_secret", "oidc_client_secret_file")
        if options.get("oidc_ca") and options["oidc_token_endpoint"].startswith("http:"):
            raise ConfigurationError("kafka URI: option oidc_ca; expected an oidc_token_endpoint of https with it")
        return
    _refuse(options, _OIDC, "sasl_mechanism=OAUTHBEARER with it")
    _require(options, given, "sasl_username")
    _require(options, given, "sasl_password", "sasl_password_file")


def _refuse(options: Mapping[str, Any], names: tuple[str, ...], expected: str) -> None:
    for name in names:
        if options.get(name):
            raise ConfigurationError(f"kafka URI: option {name}; expected {expected}")


def _require(options: Mapping[str, Any], given: str, *names: str) -> None:
    if not any(options.get(name) for name in names):
        raise ConfigurationError(f"kafka URI: option {given}; expected {' or '.join(names)} with it")


def _one_at_most(options: Mapping[str, Any], secret: str) -> None:
    if options.get(secret) and options.get(f"{secret}_file"):
        raise ConfigurationError(f"kafka URI: options {secret} and {secret}_file; expected one of them")


def _is_missing(path: str) -> bool:
    try:
        return not Path(path).exists()
    except OSError:
        # Who checks may see less than who will run.
        return False
