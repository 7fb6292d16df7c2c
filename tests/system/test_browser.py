"""The browser client in a real Chromium."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from beacons import Door
from playwright.sync_api import Browser, Page, sync_playwright
from topology import ROOT
from waiting import wait_for

from demo.doors import CHROMIUM

DEADLINE_S = 30.0
CLIENT = ROOT / "elworkers" / "browser" / "eventlogging.js"
DECLARED = "eventLogging.declareSchema('Edit', 7, {defaults: {skin: 'vector'}});"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield made
        made.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.html").write_text(
        f"<!DOCTYPE html><script src='/eventlogging.js'></script><script>{DECLARED}</script>", encoding="utf-8"
    )
    (files / "other.html").write_text("<!DOCTYPE html>other", encoding="utf-8")
    made = Door(tmp_path, files=files)
    yield made
    made.door.close()


@pytest.fixture
def page(browser: Browser, door: Door) -> Iterator[Page]:
    context = browser.new_context()
    made = context.new_page()
    made.goto(f"http://127.0.0.1:{door.port}/page.html")
    yield made
    context.close()


def capsules(door: Door) -> list[dict[str, Any]]:
    return [json.loads(unquote(line.split(b"\t")[0].decode()).strip("?;")) for line in list(door.lines)]


def test_the_client_is_small() -> None:
    assert len(gzip.compress(CLIENT.read_bytes(), 9)) <= 2048


def test_an_event_is_a_capsule_with_defaults(page: Page, door: Door) -> None:
    assert page.evaluate("eventLogging.logEvent('Edit', {action: 'save é', n: 1.5})") is True
    wait_for(lambda: door.lines, DEADLINE_S, "the event")
    assert capsules(door) == [
        {
            "event": {"skin": "vector", "action": "save é", "n": 1.5},
            "revision": 7,
            "schema": "Edit",
            "webHost": "127.0.0.1",
            "wiki": "127.0.0.1",
        }
    ]
    query, _, _, _, _, agent = door.lines[0].split(b"\t")
    assert query.endswith(b"%7D;")
    assert b"Chrome/" in agent


def test_what_does_not_fit_into_a_url_is_posted(page: Page, door: Door) -> None:
    methods: list[str] = []
    page.on("request", lambda request: methods.append(request.method))
    page.evaluate("eventLogging.configure({delay: 0, maxUrl: 500})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(600)})")
    wait_for(lambda: len(door.lines) == 2, DEADLINE_S, "both events")
    assert {len(event["event"]["action"]) for event in capsules(door)} == {5, 600}
    # A beacon's POST is not among the requests that the page is told of.
    assert methods == ["GET"]


def test_leaving_the_page_sends_what_waits(page: Page, door: Door) -> None:
    page.evaluate("eventLogging.configure({delay: 1e9})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(3000)})")
    assert door.lines == []
    page.goto(f"http://127.0.0.1:{door.port}/other.html")
    wait_for(lambda: len(door.lines) == 2, DEADLINE_S, "both events")
    assert {len(event["event"]["action"]) for event in capsules(door)} == {5, 3000}


def test_what_a_browser_had_sent_when_it_was_closed_is_taken(browser: Browser, chromium: str, door: Door) -> None:
    closed = browser.browser_type.launch(executable_path=chromium, args=list(CHROMIUM))
    page = closed.new_page()
    page.goto(f"http://127.0.0.1:{door.port}/page.html")
    door.held.clear()
    page.evaluate("eventLogging.configure({delay: 0, maxUrl: 500})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    # Until then the door might read the next one before it is held up.
    assert door.at_work.wait(DEADLINE_S)
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(3000)})")
    wait_for(lambda: unread(door.port) > 3000, DEADLINE_S, "the POST, before the door")
    closed.close()
    door.held.set()
    wait_for(lambda: len(door.lines) == 2, DEADLINE_S, "both events")


def unread(port: int) -> int:
    """Bytes that clients have sent to a port and its server has not read (proc_net_tcp of Linux's documentation)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")


def test_a_hidden_page_sends_at_once(page: Page, door: Door) -> None:
    page.evaluate("eventLogging.configure({delay: 1e9})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'before'})")
    page.evaluate(
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden'});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    wait_for(lambda: len(door.lines) == 1, DEADLINE_S, "what waited")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'after'})")
    wait_for(lambda: len(door.lines) == 2, DEADLINE_S, "what came then")


def test_a_share_of_pages_and_of_sessions_is_sampled(browser: Browser, door: Door) -> None:
    context = browser.new_context()
    page = context.new_page()
    found = []
    for _ in range(40):
        page.goto(f"http://127.0.0.1:{door.port}/page.html")
        found.append(
            page.evaluate(
                """() => {
                    eventLogging.declareSchema('ByPage', 1, {page: 0.5});
                    eventLogging.declareSchema('BySession', 1, {session: 0.5});
                    eventLogging.declareSchema('Never', 1, {page: 0});
                    eventLogging.declareSchema('Always', 1, {page: 1, session: 1});
                    return ['ByPage', 'BySession', 'Never', 'Always'].map(name => eventLogging.inSample(name));
                }"""
            )
        )
    by_page, by_session, never, always = zip(*found, strict=True)
    assert set(by_page) == {True, False}
    assert len(set(by_session)) == 1
    assert set(never) == {False}
    assert set(always) == {True}
    assert page.evaluate("eventLogging.logEvent('Never', {})") is False
    context.close()


def test_the_first_page_of_a_session_is_sampled_by_itself(browser: Browser, door: Door) -> None:
    differ = 0
    for _ in range(20):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{door.port}/page.html")
        page.evaluate("eventLogging.declareSchema('ByPage', 1, {page: 0.5})")
        page.evaluate("eventLogging.declareSchema('BySession', 1, {session: 0.5})")
        differ += page.evaluate("eventLogging.inSample('ByPage') !== eventLogging.inSample('BySession')")
        context.close()
    assert differ


def test_do_not_track_is_respected_where_that_is_asked_for(page: Page, door: Door) -> None:
    page.evaluate("Object.defineProperty(navigator, 'doNotTrack', {value: '1'})")
    assert page.evaluate("eventLogging.logEvent('Edit', {})") is True
    page.evaluate("eventLogging.configure({respectDnt: true})")
    assert page.evaluate("eventLogging.logEvent('Edit', {})") is False


def test_an_undeclared_schema_is_no_error_of_the_page(page: Page, door: Door) -> None:
    said: list[str] = []
    # Chromium's own word on a missing favicon is an error, and comes when it comes.
    page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    assert page.evaluate("eventLogging.logEvent('Edti', {})") is False
    wait_for(lambda: said, DEADLINE_S, "a warning")
    assert said == ["eventLogging: schema Edti is not declared"]


def test_a_page_of_another_host_may_send(page: Page, door: Door, tmp_path: Path) -> None:
    other = Door(tmp_path / "other")
    try:
        page.evaluate(f"eventLogging.configure({{url: 'http://localhost:{other.port}/beacon/event', maxUrl: 300}})")
        page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
        page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(600)})")
        # As others do it: JSON by its own type needs a preflight that allows cookies.
        page.evaluate(
            f"navigator.sendBeacon('http://localhost:{other.port}/beacon/event',"
            """ new Blob(['[{"a": 1}, {"a": 2}]'], {type: 'application/json'}))"""
        )
        wait_for(lambda: len(other.lines) == 4, DEADLINE_S, "four events")
    finally:
        other.door.close()
