# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A consumer's TLS to a MariaDB that takes nothing else, through the installed command."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from topology import BIN
from waiting import wait_for

from elworkers.config.uris import parse
from elworkers.devstack import Stack
from elworkers.devstack.certificates import DAY, Signed, signed
from elworkers.devstack.parts import PARTS, MariaDB

DEADLINE_S = 30.0
EVENT = {"schema": "Tls", "revision": 1, "wiki": "w", "timestamp": 1480000000, "event": {"a": "b"}}
SCHEMA = {"properties": {"a": {"type": "string"}}}


@dataclass
class Server:
    """A MariaDB with the certificate that it shows, and who has signed that."""

    uri: str
    folder: Path
    authority: Signed
    number: int = 0

    def shows(self, certificate: Signed) -> None:
        """Have it show this one from now on."""
        shutil.copy(certificate.file, self.folder / "server.pem")
        shutil.copy(certificate.key, self.folder / "server.key")
        self.do("FLUSH SSL")

    def do(self, statement: str) -> tuple[Any, ...]:
        """Whether somebody else has done what was asked for; the first row of the answer."""
        _, port = parse(self.uri).endpoint(3306)
        with (
            pymysql.connect(host="127.0.0.1", port=port, user="root", ssl={"check_hostname": False}) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return tuple(cursor.fetchone() or ())

    def stored(self, options: str, folder: Path, user: str = "eventlogging") -> str:
        """Have a consumer store an event; why it could not, or nothing."""
        self.number += 1
        uri = parse(self.uri)
        where = f"mysql://{user}:{uri.password}@{uri.hosts[0]}{uri.path}?{options}"
        log = folder / f"log{self.number}"
        with log.open("wb") as out:
            consumer = subprocess.Popen(
                [BIN / "eventlogging-consumer", "stdin:", where, "--schemas", self.folder, "--output-invalid=stdout:"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
            assert consumer.stdin is not None
            consumer.stdin.write(json.dumps({**EVENT, "uuid": f"{self.number:032x}"}).encode() + b"\n")
            consumer.stdin.close()
            try:
                wait_for(lambda: consumer.poll() is not None or reason(log), DEADLINE_S, "a word on it")
            finally:
                consumer.terminate()
                consumer.wait(DEADLINE_S)
        text = log.read_text(encoding="utf-8")
        assert f":{uri.password}@" not in text
        return reason(log) or ("" if not consumer.returncode else text)

    @property
    def rows(self) -> int:
        """How many events it has."""
        return int(self.do(f"SELECT COUNT(*) FROM {parse(self.uri).path[1:]}.Tls_1")[0])  # noqa: S608


def reason(log: Path) -> str:
    """What the consumer waits for, if it does."""
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "waiting to try again":
            return str(entry["reason"])
    return ""


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    authority = signed(folder, "authority")
    right = signed(folder, "right", by=authority, hosts=["127.0.0.1"])
    shutil.copy(right.file, folder / "server.pem")
    shutil.copy(right.key, folder / "server.key")
    (folder / "Tls").mkdir()
    (folder / "Tls" / "1.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    options = (
        "--ssl",
        f"--ssl-ca={authority.file}",
        f"--ssl-cert={folder}/server.pem",
        f"--ssl-key={folder}/server.key",
    )
    part = MariaDB("mariadb-tls", ("mariadb-tls",), variable="MYSQL_TLS_URL", options=options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PARTS, part.name, part)  # type: ignore[arg-type]
        stack.up(part.name)
        made = Server(stack.env()["MYSQL_TLS_URL"], folder, authority)
        made.do("SET GLOBAL require_secure_transport = ON")
        yield made
        stack.kill(part.name)


@pytest.fixture
def right(server: Server, tmp_path: Path) -> Signed:
    """What the server shows: its certificate, signed and for its address."""
    made = signed(tmp_path, "right", by=server.authority, hosts=["127.0.0.1"])
    server.shows(made)
    return made


@pytest.mark.usefixtures("right")
def test_the_right_server_stores(server: Server, tmp_path: Path) -> None:
    assert server.stored(f"ssl_ca={server.authority.file}", tmp_path) == ""
    before = server.rows
    # Without any option PyMySQL takes the TLS that it is offered, and looks at no certificate.
    for options in ("ssl_verify=False", "local_infile=True", "local_infile=False"):
        assert server.stored(options, tmp_path) == ""
    assert server.rows == before + 3


def wrong(folder: Path, server: Server) -> Signed:
    return signed(folder, "wrong", by=signed(folder, "nobody"))


def expired(folder: Path, server: Server) -> Signed:
    return signed(folder, "expired", by=server.authority, ends=-DAY)


@pytest.mark.parametrize(
    ("make", "said"),
    [(wrong, "unable to get local issuer certificate"), (expired, "certificate has expired")],
)
def test_a_certificate_that_is_not_good_stores_nothing(
    server: Server, tmp_path: Path, make: Callable[[Path, Server], Signed], said: str
) -> None:
    server.shows(make(tmp_path, server))
    found = server.stored(f"ssl_ca={server.authority.file}", tmp_path)
    assert said in found
    assert parse(server.uri).hosts[0] in found


def test_a_certificate_for_another_host_stores_nothing(server: Server, tmp_path: Path, right: Signed) -> None:
    assert right.certificate.not_valid_after_utc > datetime.datetime.now(datetime.UTC)
    uri = parse(server.uri)
    other = Server(server.uri.replace("127.0.0.1", "localhost"), server.folder, server.authority, number=100)
    found = other.stored(f"ssl_ca={server.authority.file}", tmp_path)
    assert "Hostname mismatch" in found, uri
    assert "localhost" in found


@pytest.mark.usefixtures("right")
def test_a_server_that_wants_a_certificate_of_the_client(server: Server, tmp_path: Path) -> None:
    password = parse(server.uri).password
    server.do(f"CREATE OR REPLACE USER strict IDENTIFIED BY '{password}' REQUIRE X509")
    server.do(f"GRANT ALL ON {parse(server.uri).path[1:]}.* TO strict")
    mine = signed(tmp_path, "mine", by=server.authority)
    foreign = signed(tmp_path, "foreign", by=signed(tmp_path, "stranger"))
    ca = f"ssl_ca={server.authority.file}"
    assert server.stored(f"{ca}&ssl_cert={mine.file}&ssl_key={mine.key}", tmp_path, "strict") == ""
    assert "Access denied for user 'strict'" in server.stored(ca, tmp_path, "strict")
    assert server.stored(f"{ca}&ssl_cert={foreign.file}&ssl_key={foreign.key}", tmp_path, "strict")
    said = server.stored(f"{ca}&ssl_cert={mine.file}&ssl_key={foreign.key}", tmp_path, "strict")
    assert "ssl_cert and ssl_key" in said


def test_a_server_without_tls_is_told_nothing(mariadb: str, tmp_path: Path) -> None:
    authority = signed(tmp_path, "authority")
    plain = Server(mariadb, tmp_path, authority)
    assert "offers no TLS" in plain.stored(f"ssl_ca={authority.file}", tmp_path)
