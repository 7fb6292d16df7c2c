# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers HTTP requests, and hands on the events in them."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from elworkers.config.types import Network
from elworkers.connectors.http.bodies import BodyError, queries
from elworkers.connectors.http.intake import Intake, Sender
from elworkers.connectors.http.limits import LONGEST_HEAD, SERVER_NAME, Limits, RefusedError, retry_later
from elworkers.connectors.http.proxies import client_address
from elworkers.connectors.http.replies import FileReply
from elworkers.connectors.http.uploads import Uploads
from elworkers.connectors.spool.raw_lines import RawLines

_METHODS = "GET, HEAD, POST, OPTIONS"
# A request may name the whole URL (RFC 9112, section 3.2.2).
_ABSOLUTE = re.compile("https?://[^/?]*", re.IGNORECASE)
_CLIENT = Path(__file__).parents[2] / "browser" / "eventlogging.js"


@dataclass(frozen=True)
class HandlerConfig:
    """How the requests of one server are answered.

    Attributes:
        path: the one path that takes events.
        lines: makes the lines.
        limits: what a client may ask.
        client_address: whether lines have the client's address; else `-`.
        trusted: proxies whose X-Forwarded-For or Forwarded is believed.
        files: a folder whose files are served as they are, or None.
        guard: is shown each request, and raises RefusedError for those that are not to be answered.
    """

    path: str
    lines: RawLines
    limits: Limits
    client_address: bool
    trusted: Sequence[Network]
    files: Path | None
    guard: Callable[[web.BaseRequest], None] | None = None


class RequestHandler:
    """Answers requests while a listener is open.

    Args:
        config: of the server.
        intake: takes the events.
    """

    def __init__(self, config: HandlerConfig, intake: Intake) -> None:
        self._config = config
        self._limits = config.limits
        self._intake = intake
        self._uploads = Uploads(config.limits)
        self._taken = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer to one request; what it carries is on disk by then."""
        try:
            if self._config.guard is not None:
                self._config.guard(request)
            response = await self._dispatch(request)
        except RefusedError as refused:
            response = web.Response(status=refused.status, text=f"{refused}\n", headers=refused.headers)
        response.headers["Server"] = SERVER_NAME
        origin = request.headers.get("Origin", "")
        echoed = bool(origin) and origin.isascii() and origin.isprintable()
        response.headers["Access-Control-Allow-Origin"] = origin if echoed else "*"
        if echoed:
            # Nothing is ever in a reply that a page may not see; a beacon that carries cookies fails without these.
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Vary"] = "Origin"
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        head = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if head > LONGEST_HEAD:
            raise RefusedError(431, f"{head} bytes of header fields; expected at most {LONGEST_HEAD}")
        path, _, query = _ABSOLUTE.sub("", request.raw_path).partition("?")
        if path == self._config.path:
            return await self._beacon(request, query)
        if request.method not in ("GET", "HEAD"):
            raise RefusedError(404, f"nothing is taken here; expected {self._config.path}")
        if path == "/healthz":
            return await self._health()
        if path == "/eventlogging.js":
            return await _file(_CLIENT)
        file = await asyncio.to_thread(self._named, path[1:])
        if file is not None:
            return await _file(file)
        raise RefusedError(404, f"no such page; events go to {self._config.path}")

    def _named(self, name: str) -> Path | None:
        # Only names that are there: no text of a client becomes part of a path.
        folder = self._config.files
        found = folder.iterdir() if folder is not None else iter(())
        return next((file for file in found if file.name == name and file.is_file()), None)

    async def _beacon(self, request: web.BaseRequest, query: str) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(
                status=204,
                headers={
                    "Access-Control-Allow-Methods": _METHODS,
                    "Access-Control-Allow-Headers": "Content-Type",
                    "Access-Control-Max-Age": "86400",
                },
            )
        if request.method == "GET" or (request.method == "POST" and not request.body_exists):
            await self._keep(request, [_from_url(query, self._config.path)])
        elif request.method == "POST":
            if query:
                raise RefusedError(400, "an event in the URL and a body; expected one of the two")
            await self._keep(request, await self._from_body(request))
        elif request.method != "HEAD":
            raise RefusedError(405, f"method {request.method}; expected one of {_METHODS}", {"Allow": _METHODS})
        return web.Response(status=204)

    async def _keep(self, request: web.BaseRequest, found: Sequence[bytes]) -> None:
        address = self._client(request).encode() if self._config.client_address else b""
        agent = request.headers.get("User-Agent", "").encode("utf-8", "surrogateescape")
        if not await self._intake.keep(found, Sender(address, agent)):
            raise retry_later("no room for events at the moment")
        self._taken += len(found)

    def _client(self, request: web.BaseRequest) -> str:
        if request.remote is None:
            return "-"
        headers = request.headers
        return client_address(
            request.remote,
            headers.getall("X-Forwarded-For", ()),
            self._config.trusted,
            headers.getall("Forwarded", ()),
        )

    async def _from_body(self, request: web.BaseRequest) -> list[bytes]:
        try:
            found = queries(await self._uploads.body_of(request))
        except BodyError as error:
            raise RefusedError(400, str(error)) from None
        if len(found) > self._limits.events:
            raise RefusedError(413, f"{len(found)} events in one body; expected at most {self._limits.events}")
        return found

    async def _health(self) -> web.Response:
        # A batch of events may be refused before the last byte is taken.
        try:
            room = await self._intake.room(self._limits.body_bytes)
        except RefusedError as refused:
            return web.json_response({"status": "full", "taken": self._taken, "reason": str(refused)}, status=503)
        health = {
            "status": room.status,
            "taken": self._taken,
            "waiting_bytes": room.waiting_bytes,
            "max_bytes": room.max_bytes,
        }
        if room.reason:
            health["reason"] = room.reason
        return web.json_response(health, status=503 if room.status == "full" else 200)


def _from_url(query: str, path: str) -> bytes:
    if not query:
        raise RefusedError(400, f"no event; expected {path}?PERCENT-ENCODED-JSON, or a body")
    return b"?" + query.encode("utf-8", "surrogateescape")


async def _file(path: Path) -> FileReply:
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    reply = FileReply(path, {"Content-Type": content_type, "Cache-Control": "public, max-age=300"})
    await reply.open()
    return reply
