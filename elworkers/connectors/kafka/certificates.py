# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Says what is wrong with certificates and keys before a broker does, which does not say it.

`cryptography` takes some 10 MiB: only who uses TLS imports this.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def wrong_with_ca(pem: bytes) -> str:
    """Return what is wrong with a file of CA certificates, as the rest of a sentence; empty: nothing.

    Args:
        pem: what is in it; some of its certificates may be out of date.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return "has no certificate in PEM in it"
    return "" if any(not _not_valid(one) for one in found) else _not_valid(found[0])


def wrong_with_certificate(pem: bytes) -> str:
    """Return what is wrong with a file of a client's certificate, which is the first in it; empty: nothing."""
    try:
        own, *_ = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return "has no certificate in PEM in it"
    return _not_valid(own)


def wrong_with_key(pem: bytes, password: str | None, certificate: bytes, certificate_path: str) -> str:
    """Return what is wrong with the file of a private key; empty: nothing.

    Args:
        pem: what is in it.
        password: of the key; None: it has none.
        certificate: that it has to belong to, in PEM.
        certificate_path: of its file.
    """
    try:
        key = load_pem_private_key(pem, None if password is None else password.encode())
    except TypeError:
        if password is None:
            return "has a key with a password; expected ssl_key_password or ssl_key_password_file with it"
        return "has a key without a password; expected neither ssl_key_password nor ssl_key_password_file with it"
    except (ValueError, UnsupportedAlgorithm):
        return "has no private key in PEM in it" if password is None else "has no private key that the password opens"
    own, *_ = x509.load_pem_x509_certificates(certificate)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        return f"has a key that is not that of the certificate in {certificate_path}"
    return ""


def _not_valid(certificate: x509.Certificate) -> str:
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends < now:
        return f"has a certificate that has expired on {ends:%Y-%m-%dT%H:%M:%SZ}"
    return f"has a certificate that is valid from {begins:%Y-%m-%dT%H:%M:%SZ} on only" if begins > now else ""
