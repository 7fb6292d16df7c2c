# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Refuses HTTP requests that pages of other sites make in the developer's browser.

A browser sends any page's requests to 127.0.0.1. It says whose they are in `Sec-Fetch-Site`, `Origin` and `Referer`,
which a page cannot change, and asks first before it sends a header that is not one of its own (the Fetch standard).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from elworkers.connectors.http.limits import RefusedError

HEADER = "X-EventLogging-Devserver"
"""A request with this header is no other page's, whatever its value."""

_MOST_REPORTED = 100


class Guard:
    """Lets pages of this server and of some others in, and programs that are no browsers.

    Args:
        host: that the server was told to listen on.
        origins: of pages that are let in, as `http://HOST[:PORT]`.
        report: called with a sentence for each rejected origin, once.
    """

    def __init__(self, host: str, origins: Sequence[str], report: Callable[[str], None]) -> None:
        self._host = host.lower()
        self._origins = frozenset(origins)
        self._report = report
        self._reported: set[str] = set()

    def __call__(self, request: web.BaseRequest) -> None:
        """Return if the request is accepted.

        Raises:
            RefusedError: it is another page's.
        """
        host = request.headers.get("Host", "").lower()
        if not self._is_ours(host):
            raise self._rejected(f"the name {host!a}", "ask for it as localhost or by its address")
        headers = request.headers
        if HEADER in headers or headers.get("Sec-Fetch-Site") in ("same-origin", "none"):
            return
        origin = headers.get("Origin") or _origin_of(headers.get("Referer", ""))
        if origin in self._origins or origin == f"http://{host}" or not (origin or _is_browser(request)):
            return
        shown = ascii(origin)[1:-1] if origin else "an unknown origin"
        raise self._rejected(f"pages of {shown}", f"--allow-origin {shown if origin else 'ORIGIN'}")

    def _is_ours(self, host: str) -> bool:
        # Somebody else's name may lead here, too, and makes their page one of the same origin.
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in (self._host, "localhost") or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _rejected(self, whose: str, way: str) -> RefusedError:
        if whose not in self._reported and len(self._reported) < _MOST_REPORTED:
            self._reported.add(whose)
            self._report(f"rejected: requests of {whose}; to accept them: {way}")
        return RefusedError(403, f"requests of {whose} are not accepted; to accept them: {way}")


def _is_browser(request: web.BaseRequest) -> bool:
    # Where the server is not on loopback, Sec-Fetch-Site is not sent, and a page can leave out the rest.
    return "Sec-Fetch-Site" in request.headers or request.headers.get("User-Agent", "").startswith("Mozilla/")


def _origin_of(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower() if slashes else ""


def is_origin(text: str) -> bool:
    """Return whether it is an origin, `http://HOST[:PORT]` in small letters."""
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text == _origin_of(text)
