# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A server that asks for files of the client's machine gets none of them."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from elworkers.connectors.sql.load_data import LocalDataConnection

OK = b"\x00\x00\x00\x02\x00\x00\x00"
END = b"\xfe\x00\x00\x02\x00"


def text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def column(name: bytes) -> bytes:
    # Names, then character set, length, type LONGLONG, flags, decimals.
    return (
        b"".join(map(text, (b"def", b"", b"", b"", name, name)))
        + b"\x0c\x3f\x00\x15\x00\x00\x00\x08\x00\x00\x00\x00\x00"
    )


class Hostile:
    """Speaks as much of the protocol as a client needs to log in; answers statements as the test says.

    Attributes:
        replies: by the beginning of a statement, what makes the packet that answers it.
        received: the packets that came after such an answer.
    """

    def __init__(self) -> None:
        self.replies: dict[bytes, Callable[[bytes], bytes]] = {}
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client, client.makefile("rb") as stream:
            greeting = b"\x0a8.0.0\x00" + struct.pack("<I", 1) + b"saltsalt\x00" + struct.pack("<H", 0xF7FF)
            greeting += b"\x2d" + struct.pack("<HH", 2, 0x000F) + b"\x15" + bytes(10) + b"saltsaltsalt\x00"
            _send(client, 0, greeting + b"mysql_native_password\x00")
            _receive(stream)
            _send(client, 2, OK)
            while packet := _receive(stream):
                if packet[:1] == b"\x01":
                    return
                if packet.startswith(b"\x03SELECT @@local_infile"):
                    row = text(b"1") + text(b"16777216")
                    for number, part in enumerate((b"\x02", column(b"a"), column(b"b"), END, row, END), 1):
                        _send(client, number, part)
                    continue
                reply = next((make for start, make in self.replies.items() if packet[1:].startswith(start)), None)
                _send(client, 1, OK if reply is None else reply(packet[1:]))
                if reply is not None:
                    while more := _receive(stream):
                        self.received.append(more)
                    if more == b"":
                        _send(client, 2 + len(self.received) + 1, OK)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


def _send(client: socket.socket, number: int, payload: bytes) -> None:
    client.sendall(struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload)


def _receive(stream: object) -> bytes | None:
    """A packet's payload; None at the end of the connection."""
    head = stream.read(4)  # type: ignore[attr-defined]
    if len(head) < 4:
        return None
    payload: bytes = stream.read(int.from_bytes(head[:3], "little"))  # type: ignore[attr-defined]
    return payload


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    made = Hostile()
    yield made
    made.close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hunter2", encoding="utf-8")
    return path


def connect(hostile: Hostile) -> LocalDataConnection:
    return LocalDataConnection(
        local_infile=True, host="127.0.0.1", port=hostile.port, user="u", password="", ssl_disabled=True
    )


def test_what_was_offered_is_sent(hostile: Hostile) -> None:
    hostile.replies[b"LOAD DATA LOCAL"] = lambda statement: b"\xfb" + statement.split(b"'")[1]
    with connect(hostile) as connection:
        connection.send_lines("IGNORE INTO TABLE t", b"one\ntwo\n" * 20_000)
        connection.answer()
    assert b"".join(hostile.received) == b"one\ntwo\n" * 20_000


@pytest.mark.parametrize("wanted", ["secret", "nothing"])
def test_another_file_is_refused_and_the_connection_closed(hostile: Hostile, secret: Path, wanted: str) -> None:
    name = str(secret).encode() if wanted == "secret" else b""
    hostile.replies[b"LOAD DATA LOCAL"] = lambda _: b"\xfb" + name
    connection = connect(hostile)
    with pytest.raises(pymysql.OperationalError, match="a file that it was not offered"):
        connection.send_lines("IGNORE INTO TABLE t", b"rows\n")
    assert not connection.open
    hostile.close()
    assert hostile.received == []


def ask_and_read(connection: LocalDataConnection) -> None:
    connection.send(b"UPDATE t SET a = 1")
    connection.answer()


def ask_with_a_cursor(connection: LocalDataConnection) -> None:
    connection.cursor().execute("UPDATE t SET a = 1")


@pytest.mark.parametrize("ask", [ask_and_read, ask_with_a_cursor])
def test_a_file_is_refused_as_an_answer_to_any_other_statement(
    hostile: Hostile, secret: Path, ask: Callable[[LocalDataConnection], None]
) -> None:
    hostile.replies[b"UPDATE"] = lambda _: b"\xfb" + str(secret).encode()
    connection = connect(hostile)
    with pytest.raises(RuntimeError, match="local_infile"):
        ask(connection)
    connection.close()
    hostile.close()
    assert b"hunter2" not in b"".join(hostile.received)


def test_this_server_would_get_it_of_a_client_that_is_not_careful(hostile: Hostile, secret: Path) -> None:
    hostile.replies[b"UPDATE"] = lambda _: b"\xfb" + str(secret).encode()
    with pymysql.connect(
        local_infile=True, host="127.0.0.1", port=hostile.port, user="u", password="", ssl_disabled=True
    ) as connection:
        connection.cursor().execute("UPDATE t SET a = 1")
    hostile.close()
    assert b"hunter2" in hostile.received
