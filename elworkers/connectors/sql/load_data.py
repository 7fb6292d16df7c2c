# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends rows by LOAD DATA LOCAL from memory, on a connection that reads its answers later.

In MySQL's protocol it is the server who names the file that LOAD DATA LOCAL sends, and it may do so in reply to any
statement; with `local_infile=True` PyMySQL opens whatever it names. Here PyMySQL is never told to. The one request that
is granted is the reply to our own statement, for a name made up for it, and what is sent comes from memory.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import CLIENT, COMMAND, CR
from pymysql.protocol import LoadLocalPacketWrapper

from elworkers.connectors.sql.login import GuardedConnection

_PACKET_BYTES = 64 * 1024


class Answer(NamedTuple):
    """The server's answer to a statement: the number of rows stored, and of warnings (65,535 at most)."""

    rows: int
    warnings: int


class LocalDataConnection(GuardedConnection):
    """A connection of PyMySQL that can send first and read the answer later, and sends local data from memory alone.

    Attributes:
        loads: whether LOAD DATA LOCAL may be used, as far as is known.
        longest_statement: in bytes, the server's max_allowed_packet.

    Args:
        local_infile: whether it may be used where the server allows it.
        options: of `GuardedConnection`, but `local_infile` and `client_flag`.
    """

    def __init__(self, *, local_infile: bool, **options: Any) -> None:
        super().__init__(client_flag=CLIENT.LOCAL_FILES if local_infile else 0, **options)
        with self.cursor() as cursor:
            cursor.execute("SELECT @@local_infile, @@max_allowed_packet")
            ((allowed, longest),) = cursor.fetchall()
        self.loads = local_infile and bool(allowed)
        self.longest_statement = int(longest)

    def send(self, statement: bytes) -> None:
        """Send a statement that gives no rows; nothing else may be sent before `answer` has returned."""
        self._execute_command(COMMAND.COM_QUERY, statement)  # type: ignore[attr-defined]

    def send_lines(self, into: str, lines: bytes) -> None:
        """Send LOAD DATA LOCAL and its data; nothing else may be sent before `answer` has returned.

        Args:
            into: what stands behind the file's name in the statement.
            lines: the file's content.

        Raises:
            pymysql.Error: the server refuses, is away, or asks for something else; then the connection is closed.
        """
        name = secrets.token_hex(16).encode()
        self.send(b"LOAD DATA LOCAL INFILE '%b' %b" % (name, into.encode()))
        reply = self._read_packet()  # type: ignore[no-untyped-call]
        if not reply.is_load_local_packet() or LoadLocalPacketWrapper(reply).filename != name:
            self._force_close()  # type: ignore[attr-defined]
            raise pymysql.OperationalError(CR.CR_MALFORMED_PACKET, "the server asks for a file that it was not offered")
        data, step = memoryview(lines), min(_PACKET_BYTES, self.longest_statement)
        for begin in range(0, len(data), step):
            self.write_packet(data[begin : begin + step])
        self.write_packet(b"")

    def answer(self) -> Answer:
        """Wait for the server's answer to the last statement.

        Raises:
            pymysql.Error: it refuses, or is away.
        """
        rows = self._read_query_result()  # type: ignore[attr-defined]
        return Answer(rows, self._result.warning_count)  # type: ignore[attr-defined]
