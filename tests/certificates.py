# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Certificates for tests, in PEM: signed by whom, for whom and until when a test says."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Signed(NamedTuple):
    """A certificate and its key, and the same as files."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey
    file: Path
    key: Path


def signed(folder: Path, name: str, by: Signed | None = None, ends: datetime.timedelta = DAY) -> Signed:
    """A certificate for 127.0.0.1 that another one has signed, or that signs others.

    Args:
        folder: where the files are made.
        name: of its owner, and of the files.
        by: who has signed it; None: itself.
        ends: from now on; negative for one that has expired.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + min(ends, datetime.timedelta()) - DAY)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(by.private if by else private, hashes.SHA256())
    )
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return Signed(made, private, file, key)
