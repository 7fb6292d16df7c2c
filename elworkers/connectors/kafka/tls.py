# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes the TLS of connections that Python makes itself, and says why one has failed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from elworkers.connectors.kafka.client_options import check_ca, check_certificate, secret
from elworkers.connectors.kafka.errors import CredentialsRefusedError


def context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS that the options of a URI ask for; certificates and names of brokers are checked.

    Args:
        options: of a `kafka:` URI, typed and checked.

    Raises:
        CredentialsRefusedError: a file cannot be used.
    """
    ca, certificate = options.get("ssl_ca"), options.get("ssl_certificate")
    if ca:
        check_ca("ssl_ca", ca)
    made = ssl.create_default_context(cafile=ca)
    if certificate:
        password = secret(options, "ssl_key_password")
        check_certificate(certificate, options["ssl_key"], password)
        made.load_cert_chain(certificate, options["ssl_key"], password)
    return made


def refusal(host: str, error: ssl.SSLError, options: Mapping[str, Any]) -> CredentialsRefusedError:
    """Return the error for one of TLS.

    Args:
        host: `host:port` of the broker.
        error: of its connection.
        options: of the URI, typed.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return CredentialsRefusedError(
            f"Kafka: the certificate of the broker {host} is not accepted: {why}; expected one for this name that is"
            f" valid now, and its CA in {f'ssl_ca={ca}' if (ca := options.get('ssl_ca')) else 'a file of ssl_ca'}"
        )
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason:
        return CredentialsRefusedError(
            f"Kafka: the broker {host} does not speak TLS at this port; expected security_protocol=PLAINTEXT or"
            " SASL_PLAINTEXT, or another port"
        )
    _, alert, said = reason.partition("alert ")
    if alert:
        return CredentialsRefusedError(f"Kafka: {alert_sentence(host, said, options)}")
    return CredentialsRefusedError(f"Kafka: no TLS with the broker {host}: {reason}")


def alert_sentence(host: str, alert: str, options: Mapping[str, Any]) -> str:
    """Return that a broker has ended the handshake, and over what."""
    certificate = options.get("ssl_certificate")
    what = f"the certificate ssl_certificate={certificate}" if certificate else "a client without ssl_certificate"
    return f"the broker {host} refuses {what}, by the TLS alert {alert.strip()}"
