# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Shuts the HTTP server down without leaving a client that has sent something unanswered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from elworkers.connectors.http.connections import BoundedServer, Connection

_LAST_REQUEST_S = 0.5
_CHECK_EVERY_S = 0.01
_TURNS_OF_A_NEWCOMER = 10
"""Turns of the event loop; it takes three to make a connection of a socket that it has accepted."""


async def leave(server: BoundedServer, stop_accepting: Callable[[], object], within_s: float) -> None:
    """Answer what is under way; each client learns with its last answer that the connection ends.

    Those that have had an answer get a moment for one more request, and newcomers for their first; meanwhile others are
    accepted, until only newcomers are left.

    Args:
        server: answers until it returns.
        stop_accepting: takes no more connections; they wait for whoever listens next.
        within_s: for all that is under way then.
    """
    server.leaving = True
    clock = asyncio.get_running_loop().time
    until = clock() + _LAST_REQUEST_S
    while clock() < until and any(one.asked for one in _of(server)):
        await asyncio.sleep(_CHECK_EVERY_S)
    stop_accepting()
    for _ in range(_TURNS_OF_A_NEWCOMER):
        # What was accepted in this moment is no connection yet.
        await asyncio.sleep(0)
    until = clock() + within_s
    while clock() < until and _of(server):
        for one in _of(server):
            if one.asked or clock() - one.begun > _LAST_REQUEST_S:
                one.close()
        await asyncio.sleep(_CHECK_EVERY_S)


def _of(server: BoundedServer) -> list[Connection]:
    return [one for one in server.connections if isinstance(one, Connection)]
