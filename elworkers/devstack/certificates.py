# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes certificates for servers of this machine and their clients, in PEM: by whom, for whom, until when."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
HERE = ("127.0.0.1", "localhost")


class Signed(NamedTuple):
    """A certificate and its key, and the same as files."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey
    file: Path
    key: Path


def signed(
    folder: Path,
    name: str,
    by: Signed | None = None,
    ends: datetime.timedelta = DAY,
    hosts: Sequence[str] = HERE,
    owner: str = "",
) -> Signed:
    """Make a certificate that another one has signed, for a server or a client, or one that signs others.

    It has key identifiers and key usages, without which OpenSSL's strict check (Python 3.13) refuses it.

    Args:
        folder: where the files are made: `<name>.pem`, and `<name>.key`, which only its owner can read.
        name: of the files, and of the certificate's owner where no other is said.
        by: who has signed it; None: itself.
        ends: from now on; negative for one that has expired.
        hosts: names and addresses that it is valid for.
        owner: its common name.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    issuer = by.private if by else private
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, owner or name)])
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
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .add_extension(_usage(signs=by is None), critical=True)
    )
    if by:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = made.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    certificate = made.sign(issuer, hashes.SHA256())
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    write_key(key, private)
    return Signed(certificate, private, file, key)


def write_key(file: Path, private: ec.EllipticCurvePrivateKey, password: str = "") -> None:
    """Write a private key as PKCS #8, encrypted where there is a password, for its owner alone."""
    with_password = serialization.BestAvailableEncryption(password.encode()) if password else None
    file.touch(0o600)
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            with_password or serialization.NoEncryption(),
        )
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
