# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a server that is not the right one can get of a password: nothing, whatever it asks for."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from elworkers.connectors.registry import check_sink
from elworkers.connectors.sql.load_data import LocalDataConnection
from elworkers.connectors.sql.login import Login
from elworkers.core.errors import ConfigurationError
from elworkers.devstack.certificates import Signed, signed

PASSWORD = "s3cret-Password"
KEY = rsa.generate_private_key(65537, 2048)
SALT = b"12345678abcdefghijkl"
SSL, PROTOCOL_41, SECURE, PLUGIN_AUTH = 0x800, 0x200, 0x8000, 0x80000


class Server:
    """Speaks MySQL's protocol as far as logging in, and keeps what it is told.

    Args:
        first: the way to log in that its greeting names.
        switch: the one that it asks for then, or None.
        certificate: for TLS, or None.
    """

    def __init__(self, first: str, switch: str | None, certificate: Signed | None) -> None:
        self.told = b""
        self.key = KEY
        self._first, self._switch, self._certificate = first, switch, certificate
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        connection.settimeout(5)
        with contextlib.suppress(OSError, ssl.SSLError, EOFError), connection:
            self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        flags = PROTOCOL_41 | SECURE | PLUGIN_AUTH | (SSL if self._certificate else 0)
        greeting = b"\x0a8.0.36\0" + struct.pack("<I", 1) + SALT[:8] + b"\0" + struct.pack("<H", flags & 0xFFFF)
        greeting += b"\x2d" + struct.pack("<HHB", 2, flags >> 16, 21) + b"\0" * 10 + SALT[8:] + b"\0"
        self._send(connection, 0, greeting + self._first.encode() + b"\0")
        number, answer = self._receive(connection)
        if self._certificate is not None and struct.unpack("<I", answer[:4])[0] & SSL and len(answer) <= 32:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate.file, self._certificate.key)
            connection = context.wrap_socket(connection, server_side=True)
            number, answer = self._receive(connection)
        asked = self._first
        if self._switch is not None:
            asked = self._switch
            data = b"\x02Password: " if asked == "dialog" else SALT + b"\0"
            self._send(connection, number + 1, b"\xfe" + asked.encode() + b"\0" + data)
            number, answer = self._receive(connection)
        if asked == "caching_sha2_password":
            self._send(connection, number + 1, b"\x01\x04")
            number, answer = self._receive(connection)
        if answer in (b"\x01", b"\x02"):
            pem = self.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self._send(connection, number + 1, b"\x01" + pem)
            self._receive(connection)

    @staticmethod
    def _send(connection: socket.socket, number: int, data: bytes) -> None:
        connection.sendall(struct.pack("<I", len(data))[:3] + bytes([number % 256]) + data)

    def _receive(self, connection: socket.socket) -> tuple[int, bytes]:
        head = self._exactly(connection, 4)
        data = self._exactly(connection, int.from_bytes(head[:3], "little"))
        self.told += data
        with contextlib.suppress(ValueError):
            sha1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as MySQL has it
            plain = self.key.decrypt(data, sha1)
            self.told += bytes(one ^ SALT[place % len(SALT)] for place, one in enumerate(plain))
        return head[3], data

    @staticmethod
    def _exactly(connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


@contextlib.contextmanager
def serving(first: str, switch: str | None, certificate: Signed | None) -> Iterator[Server]:
    server = Server(first, switch, certificate)
    yield server
    server.close()


def login(server: Server, options: str) -> str:
    """Log in, and give what went wrong."""
    endpoint = check_sink(f"mysql://user@127.0.0.1/db?{options}")
    with pytest.raises(pymysql.Error) as caught:
        LocalDataConnection(
            local_infile=True,
            login=Login.of(endpoint.options),
            host="127.0.0.1",
            port=server.port,
            user="user",
            password=PASSWORD,
            connect_timeout=10,
            read_timeout=10,
        )
    return str(caught.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Signed:
    return signed(folder, "authority")


@pytest.fixture(scope="module")
def rogue(folder: Path) -> Signed:
    return signed(folder, "rogue")


ASKED = [
    ("caching_sha2_password", None),
    ("sha256_password", None),
    ("mysql_clear_password", None),
    *(
        ("mysql_native_password", asked)
        for asked in (
            "caching_sha2_password",
            "sha256_password",
            "mysql_clear_password",
            "dialog",
            "mysql_old_password",
            "no_such_plugin",
        )
    ),
    ("sha256_password", "sha256_password"),
    ("sha256_password", "mysql_clear_password"),
]


@pytest.mark.parametrize(("first", "switch"), ASKED)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("options", ["", "ssl_verify=False", "ssl_ca={ca}", "ssl_ca={ca}&allow_cleartext=True"])
def test_the_wrong_server_never_sees_the_password(
    first: str, switch: str | None, tls: bool, options: str, authority: Signed, rogue: Signed
) -> None:
    with serving(first, switch, rogue if tls else None) as server:
        said = login(server, options.format(ca=authority.file))
    assert PASSWORD.encode() not in server.told
    assert PASSWORD not in said
    # What the known ways to log in send is no more than they always do.
    stage = hashlib.sha1(PASSWORD.encode()).digest()  # noqa: S324 - as MySQL has it
    assert stage not in server.told


@pytest.mark.parametrize(
    ("switch", "options", "said"),
    [
        ("caching_sha2_password", "", "asks for the password itself; that takes a certificate that is looked at"),
        ("sha256_password", "", "or server_public_key=FILE"),
        ("mysql_clear_password", "", "in clear (mysql_clear_password); that takes allow_cleartext=True"),
        ("dialog", "ssl_verify=False", "offers no TLS, which ssl_ca, ssl_cert, ssl_key or ssl_verify ask for"),
        ("mysql_old_password", "", "wants mysql_old_password"),
    ],
)
def test_what_was_asked_for_and_what_it_takes_is_said(switch: str, options: str, said: str) -> None:
    with serving("mysql_native_password", switch, None) as server:
        assert said in login(server, options)


@pytest.mark.parametrize("switch", ["caching_sha2_password", "sha256_password", "mysql_clear_password", "dialog"])
def test_the_right_server_gets_what_it_asks_for(switch: str, folder: Path, authority: Signed) -> None:
    right = signed(folder, "right", by=authority)
    with serving("mysql_native_password", switch, right) as server:
        login(server, f"ssl_ca={authority.file}&allow_cleartext=True")
    assert PASSWORD.encode() + b"\0" in server.told


@pytest.mark.parametrize("switch", ["caching_sha2_password", "sha256_password"])
@pytest.mark.parametrize("first", ["mysql_native_password", "sha256_password"])
def test_with_the_servers_key_it_is_encrypted_for_that_server_alone(first: str, switch: str, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    for mine in (False, True):
        server = Server(first, switch, None)
        other = server.key if mine else rsa.generate_private_key(65537, 2048)
        key.write_bytes(
            other.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        login(server, f"server_public_key={key}")
        server.close()
        assert (PASSWORD.encode() in server.told) is mine


@pytest.mark.parametrize(("ends_in_days", "says"), [(1, "self-signed certificate|unable to get"), (-1, "expired")])
def test_a_certificate_that_is_not_good_is_an_error(
    ends_in_days: int, says: str, folder: Path, authority: Signed, rogue: Signed
) -> None:
    shown = rogue if ends_in_days > 0 else signed(folder, "old", authority, datetime.timedelta(days=ends_in_days))
    with serving("mysql_native_password", None, shown) as server:
        assert re.search(says, login(server, f"ssl_ca={authority.file}"))
    assert PASSWORD.encode() not in server.told


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("ssl_ca=/no/such/file", "option ssl_ca='/no/such/file'; expected the absolute path of a readable file"),
        ("ssl_key={ca}", "ssl_key without a certificate; expected ssl_cert=FILE"),
        ("allow_cleartext=True", "without a verified certificate; expected ssl_ca=FILE"),
        ("allow_cleartext=True&ssl_ca={ca}&ssl_verify=False", "without a verified certificate"),
        ("ssl_ca={key}", "option ssl_ca: .*: no certificate or key in PEM"),
        ("ssl_cert={ca}&ssl_key={ca}", "option ssl_cert and ssl_key: .*: no certificate or key in PEM"),
    ],
)
def test_options_that_cannot_work_are_named(options: str, says: str, authority: Signed) -> None:
    text = options.format(ca=authority.file, key=authority.key)
    with pytest.raises(ConfigurationError, match=says):
        Login.of(check_sink(f"mysql://user@127.0.0.1/db?{text}").options)
