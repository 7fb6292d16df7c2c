# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Certificates of brokers with locked doors, and what order parts start in."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from elworkers.devstack import locked
from elworkers.devstack.certificates import DAY, signed
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.stack import with_brokers, with_companions, with_needs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stack") / locked.CERTIFICATES
    locked.certificates(made)
    return made


def shaken(folder: Path, name: str, ca: str = "ca") -> str:
    """Why a strict client that knows a CA does not take a server with this certificate; nothing when it does."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    client = ssl.create_default_context(cafile=folder / f"{ca}.pem")
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as shaking:
                shaking.recv(1)
        except OSError:
            return

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        client.wrap_socket(ours, server_hostname="127.0.0.1").close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        serving.join()
    return ""


@pytest.mark.parametrize(
    ("name", "ca", "why"),
    [
        ("server", "ca", ""),
        ("worker", "ca", ""),
        ("foreign", "foreign-ca", ""),
        ("server", "foreign-ca", "unable to get local issuer certificate"),
        ("foreign", "ca", "unable to get local issuer certificate"),
        ("expired", "ca", "certificate has expired"),
        ("misnamed", "ca", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
def test_certificates_are_right_or_wrong_in_just_one_thing(folder: Path, name: str, ca: str, why: str) -> None:
    assert shaken(folder, name, ca) == why


def test_keys_are_their_owners_alone(folder: Path) -> None:
    secret = [file for file in folder.iterdir() if file.suffix in (".key", ".store")]
    assert len(secret) == 17
    assert {file.stat().st_mode & 0o777 for file in secret} == {0o600}


def test_certificates_are_kept_until_they_end_soon(tmp_path: Path) -> None:
    locked.certificates(tmp_path)
    first = (tmp_path / "ca.pem").read_bytes()
    locked.certificates(tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == first
    signed(tmp_path, "ca", ends=29 * DAY)
    locked.certificates(tmp_path)
    made = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    assert made.not_valid_after_utc > datetime.datetime.now(datetime.UTC) + 300 * DAY


def test_a_part_starts_after_what_it_needs_which_stays_when_it_goes() -> None:
    names = ("kafka-locked", "kafka44-locked", "hdfs")
    assert with_needs(names) == ("tokens", "kafka-locked", "kafka44-locked", "hdfs", "hdfs-datanode")
    assert "tokens" not in with_companions(names)


def test_brokers_of_a_cluster() -> None:
    assert with_brokers(["mariadb", "kafka"], 3) == ("mariadb", "kafka", "kafka-2", "kafka-3")
    assert with_brokers(["kafka44", "kafka44-2"], 2) == ("kafka44", "kafka44-2")
    with pytest.raises(DevstackError, match="there is no part 'kafka4-2'"):
        with_needs(with_brokers(["kafka4"], 2))
