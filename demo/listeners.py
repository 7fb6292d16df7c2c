# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends recorded lines through the listeners of this machine, as a client would have sent them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import aiohttp
import psutil
import requests
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
    """Which lines go through which listener."""

    recorded: list[bytes] = field(default_factory=list)
    varnish: list[Request] = field(default_factory=list)
    get: list[Request] = field(default_factory=list)
    post: list[Request] = field(default_factory=list)


def share(lines: Sequence[bytes], *, varnish: bool) -> Shares:
    """Every eighth line for each kind of request; as recorded, those that no client could have sent."""
    shares = Shares()
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        share_of_eight = number % _EVERY
        if match is None or share_of_eight > 2 or (share_of_eight == 0 and not varnish):
            shares.recorded.append(line)
            continue
        query, agent = match[1].decode(), match[2].decode()
        body = _body(query) if share_of_eight == 2 else None
        if share_of_eight == 0:
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


def wait_until_open(http: str, udp: str, varnish: Path | None) -> None:
    """Wait until something takes what is sent; by UDP and to Varnish it would be lost without a word.

    Args:
        http: host and port.
        udp: likewise.
        varnish: its folder (`-n`), where there is one.

    Raises:
        TimeoutError: names what does not open.
    """
    port = int(udp.rpartition(":")[2])
    _wait_for(lambda: _answers(http), f"nobody answers at http://{http}")
    _wait_for(
        lambda: any(one.laddr.port == port for one in psutil.net_connections("udp") if one.laddr),
        f"nobody has bound udp://{udp}",
    )
    if varnish is not None:
        _wait_for(
            lambda: any(map(partial(_reads, varnish), psutil.process_iter())), f"nobody reads the log in {varnish}"
        )


def _answers(address: str) -> bool:
    try:
        requests.get(f"http://{address}/healthz", timeout=_TIMEOUT_S)
    except requests.ConnectionError:
        return False
    return True


def _reads(varnish: Path, process: psutil.Process) -> bool:
    try:
        return process.name() == "varnishncsa" and any(
            mapped.path.startswith(f"{varnish}/") for mapped in process.memory_maps()
        )
    except psutil.Error:
        return False


def _wait_for(reached: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)


def send(address: str, wanted: Sequence[Request]) -> list[str]:
    """Send them all to `http://ADDRESS/beacon/event`; one sentence for each that was not taken."""
    return asyncio.run(_send(f"http://{address}/beacon/event", wanted))


async def _send(url: str, wanted: Sequence[Request]) -> list[str]:
    waiting = list(reversed(wanted))
    wrong: list[str] = []

    async def client(session: aiohttp.ClientSession) -> None:
        while waiting:
            query, body, agent = waiting.pop()
            method = "POST" if body else "GET"
            target = URL(url + query, encoded=True)
            async with session.request(method, target, data=body or None, headers={"User-Agent": agent}) as answer:
                if answer.status != 204:
                    wrong.append(f"{method} {url}: {answer.status} {(await answer.text()).strip()}")

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, skip_auto_headers=("Content-Type",)) as session:
        await asyncio.gather(*(client(session) for _ in range(_AT_A_TIME)))
    return wrong


def chromium() -> str | None:
    """Return the path of Chromium; None: not here."""
    return shutil.which("chromium")


def click(program: str, address: str) -> int:
    """Click each button of the page once in a real browser, and leave; how many events the page says it has logged.

    Args:
        program: path of Chromium.
        address: host and port of the listener, which takes no other events meanwhile.

    Raises:
        TimeoutError: the listener has not taken them all.
    """
    from playwright.sync_api import sync_playwright

    before = _taken(address)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(CHROMIUM))
        try:
            page = browser.new_page()
            page.goto(f"http://{address}/demo.html")
            # What is under way as a page is left is sent again, and of an invalid event both would be counted.
            page.evaluate("eventLogging.configure({delay: 1e9})")
            for button in _CLICKS:
                page.click(f"#{button}")
            logged = int(page.inner_text("#logged"))
            # Leaving sends what still waits.
            page.goto("about:blank")
            # A browser that ends sends nothing more, not even beacons.
            _wait_for(
                lambda: _taken(address) >= before + logged, f"http://{address} has not taken all that was clicked"
            )
        finally:
            browser.close()
    return logged


def _taken(address: str) -> int:
    taken: int = requests.get(f"http://{address}/healthz", timeout=_TIMEOUT_S).json()["taken"]
    return taken
