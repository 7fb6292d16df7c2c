"""Recorded lines come in; what a client would have sent goes through the doors of this machine."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

import aiohttp
from yarl import URL

_LINE = re.compile(rb'(\?[!-~]{1,4000})\t\S+\t\d+\t\d{4}-\d\d-\d\dT[0-9:]{8}\t\S+\t"([ -~]*)"')
_EVERY, _AT_A_TIME = 8, 16
_TIMEOUT_S = 60.0
_CLICKS = ("click", "long", "invalid")
PAGE_SCHEMA = "MobileWebUIActionsTracking"
CLICKS = len(_CLICKS)
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""What Chromium needs where there is no display and perhaps only root, and what keeps it from calling others."""


class Request(NamedTuple):
    """What a browser sends: a query string, or a body."""

    query: str
    body: bytes
    agent: str


@dataclass
class Shares:
    """Which lines go through which door."""

    recorded: list[bytes] = field(default_factory=list)
    varnish: list[Request] = field(default_factory=list)
    get: list[Request] = field(default_factory=list)
    post: list[Request] = field(default_factory=list)


def share(lines: Sequence[bytes], *, varnish: bool) -> Shares:
    """Every eighth line for each kind of request; as recorded, those that no client could have sent."""
    shares = Shares()
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        kind = number % _EVERY
        if match is None or kind > 2 or (kind == 0 and not varnish):
            shares.recorded.append(line)
            continue
        query, agent = match[1].decode(), match[2].decode()
        body = _body(query) if kind == 2 else None
        if kind == 0:
            shares.varnish.append(Request(query, b"", agent))
        elif body is None:
            shares.get.append(Request(query, b"", agent))
        else:
            shares.post.append(Request("", body, agent))
    return shares


def _body(query: str) -> bytes | None:
    try:
        text = unquote(query.lstrip("?").rstrip(";").replace("+", " "), errors="strict")
        return text.encode() if isinstance(json.loads(text), dict) else None
    except ValueError:
        return None


def send(address: str, requests: Sequence[Request]) -> list[str]:
    """Send them all to `http://ADDRESS/beacon/event`; one sentence for each that was not taken."""
    return asyncio.run(_send(f"http://{address}/beacon/event", requests))


async def _send(url: str, requests: Sequence[Request]) -> list[str]:
    waiting = list(reversed(requests))
    wrong: list[str] = []

    async def client(session: aiohttp.ClientSession) -> None:
        while waiting:
            query, body, agent = waiting.pop()
            method = "POST" if body else "GET"
            place = URL(url + query, encoded=True)
            async with session.request(method, place, data=body or None, headers={"User-Agent": agent}) as answer:
                if answer.status != 204:
                    wrong.append(f"{method} {url}: {answer.status} {(await answer.text()).strip()}")

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, skip_auto_headers=("Content-Type",)) as session:
        await asyncio.gather(*(client(session) for _ in range(_AT_A_TIME)))
    return wrong


def chromium() -> str | None:
    """The path of Chromium; None: not here."""
    return shutil.which("chromium")


def click(program: str, url: str) -> int:
    """Click each button of the page once in a real browser, and leave; how many events the page says it has logged."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(CHROMIUM))
        try:
            page = browser.new_page()
            page.goto(url)
            for button in _CLICKS:
                page.click(f"#{button}")
            logged = int(page.inner_text("#logged"))
            # Leaving sends what still waits.
            page.goto("about:blank")
        finally:
            browser.close()
    return logged
