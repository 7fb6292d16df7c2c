# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The browser client in a real Chromium."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp.web import BaseRequest
from beacons import RunningListener
from browsers import HOSTILE
from playwright.sync_api import Browser, Page, Route, sync_playwright
from topology import BIN, ROOT
from waiting import wait_for

from demo.listeners import CHROMIUM

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
def files(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    (files / "page.html").write_text(
        f"<!DOCTYPE html><script src='/eventlogging.js'></script><script>{DECLARED}</script>", encoding="utf-8"
    )
    (files / "other.html").write_text("<!DOCTYPE html>other", encoding="utf-8")
    return files


@pytest.fixture
def listener(tmp_path: Path, files: Path) -> Iterator[RunningListener]:
    made = RunningListener(tmp_path, files=files)
    yield made
    made.listener.close()


@pytest.fixture
def page(browser: Browser, listener: RunningListener) -> Iterator[Page]:
    context = browser.new_context()
    made = context.new_page()
    made.goto(f"http://127.0.0.1:{listener.port}/page.html")
    yield made
    context.close()


def capsules(listener: RunningListener) -> list[dict[str, Any]]:
    return [json.loads(unquote(line.split(b"\t")[0].decode()).strip("?;")) for line in list(listener.lines)]


def test_the_client_is_small() -> None:
    assert len(gzip.compress(CLIENT.read_bytes(), 9)) <= 2048


def test_an_event_is_a_capsule_with_defaults(page: Page, listener: RunningListener) -> None:
    assert page.evaluate("eventLogging.logEvent('Edit', {action: 'save é', n: 1.5})") is True
    wait_for(lambda: listener.lines, DEADLINE_S, "the event")
    (made,) = capsules(listener)
    assert uuid.UUID(made.pop("uuid")).version == 4
    assert [made] == [
        {
            "event": {"skin": "vector", "action": "save é", "n": 1.5},
            "revision": 7,
            "schema": "Edit",
            "webHost": "127.0.0.1",
            "wiki": "127.0.0.1",
        }
    ]
    query, _, _, _, _, agent = listener.lines[0].split(b"\t")
    assert query.endswith(b"%7D;")
    assert b"Chrome/" in agent


@pytest.mark.parametrize("told", [True, False])
def test_where_no_listener_takes_posts_events_go_by_url(page: Page, listener: RunningListener, told: bool) -> None:
    methods: list[str] = []
    page.on("request", lambda request: methods.append(request.method))
    if told:
        page.evaluate("eventLogging.configure({byUrl: true})")
    else:
        # As a Varnish without an HTTP listener does.
        page.route("**/beacon/event", lambda route: route.fulfill(status=405))
    page.evaluate("eventLogging.configure({delay: 0, maxUrl: 500})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(600)})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'shorter'})")
    wait_for(lambda: len(listener.lines) == 2, DEADLINE_S, "both short events")
    assert {event["event"]["action"] for event in capsules(listener)} == {"short", "shorter"}
    assert page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(600)})") is False
    assert page.evaluate("eventLogging.dropped()") == 2
    assert ("POST" in methods) is not told


def test_many_small_events_of_a_page_that_stays_all_arrive(page: Page, listener: RunningListener) -> None:
    at_once: list[int] = []
    page.on("request", lambda _: at_once.append(1))
    page.evaluate("for (let i = 0; i < 5000; i++) eventLogging.logEvent('Edit', {i})")
    wait_for(lambda: len(listener.lines) == 5_000, DEADLINE_S, "all events")
    assert sorted(event["event"]["i"] for event in capsules(listener)) == list(range(5_000))
    assert len({event["uuid"] for event in capsules(listener)}) == 5_000
    assert len(at_once) < 50
    assert page.evaluate("eventLogging.dropped()") == 0


@pytest.mark.parametrize(("count", "size"), [(30, 3_000), (5, 30_000), (1, 70_000), (300, 3_000)])
def test_what_a_page_cannot_send_as_it_is_left_goes_with_the_next(
    page: Page, listener: RunningListener, count: int, size: int
) -> None:
    page.evaluate("eventLogging.configure({delay: 1e9})")
    event = f"{{i, s: 'é'.repeat({size // 2})}}"
    logged = f"Array.from({{length: {count}}}, (_, i) => eventLogging.logEvent('Edit', {event}))"
    assert page.evaluate(logged) == [True] * count
    page.goto(f"http://127.0.0.1:{listener.port}/other.html")
    page.goto(f"http://127.0.0.1:{listener.port}/page.html")
    wait_for(lambda: len(listener.lines) >= count, DEADLINE_S, "all events")
    assert sorted(event["event"]["i"] for event in capsules(listener)) == list(range(count))
    assert page.evaluate("eventLogging.dropped()") == 0


def test_what_was_under_way_when_a_page_was_left_arrives(page: Page, listener: RunningListener) -> None:
    listener.held.clear()
    page.evaluate("eventLogging.configure({delay: 0})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'held up'})")
    assert listener.at_work.wait(DEADLINE_S)
    page.goto("about:blank")
    listener.held.set()
    wait_for(lambda: listener.lines, DEADLINE_S, "the event")
    # It may arrive twice; by its uuid it is stored once.
    assert {event["event"]["action"] for event in capsules(listener)} == {"held up"}
    assert len({event["uuid"] for event in capsules(listener)}) == 1


def test_what_is_sent_again_after_a_lost_answer_is_stored_once(
    page: Page, listener: RunningListener, tmp_path: Path
) -> None:
    def lose_the_first_answer(route: Route) -> None:
        if not listener.lines:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/beacon/event", lose_the_first_answer)
    page.evaluate("eventLogging.configure({delay: 0})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'once'})")
    wait_for(lambda: page.evaluate("true") and len(listener.lines) == 2, DEADLINE_S, "the event, twice")
    schemas = tmp_path / "schemas" / "Edit"
    schemas.mkdir(parents=True)
    (schemas / "7.json").write_text('{"properties": {"action": {"type": "string"}, "skin": {"type": "string"}}}')
    database = tmp_path / "events.db"
    more = ("--schemas", str(schemas.parent))
    valid = subprocess.run(
        [BIN / "eventlogging-processor", "%q %{recvFrom}s %{seqId}d %t %h %{userAgent}i", "stdin:", "stdout:", *more],
        input=b"".join(line + b"\n" for line in listener.lines),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    events = [json.loads(line) for line in valid.splitlines() if b'"schema"' in line]
    assert len(events) == 2
    command = [BIN / "eventlogging-consumer", "stdin:", f"sqlite:///{database}", "--output-invalid=stdout:", *more]
    subprocess.run(command, input=b"".join(json.dumps(one).encode() + b"\n" for one in events), check=True, timeout=60)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT event_action FROM Edit_7").fetchall() == [("once",)]


def test_what_a_full_server_refuses_is_sent_again(page: Page, listener: RunningListener) -> None:
    refused: list[int] = []
    page.on("response", lambda response: refused.append(response.status))
    listener.full = True
    page.evaluate("eventLogging.configure({delay: 0})")
    for number in range(3):
        page.evaluate(f"eventLogging.logEvent('Edit', {{n: {number}}})")
    wait_for(lambda: page.evaluate("true") and 503 in refused, DEADLINE_S, "a refusal")
    listener.full = False
    wait_for(lambda: len(listener.lines) == 3, DEADLINE_S, "all events")
    assert {event["event"]["n"] for event in capsules(listener)} == {0, 1, 2}
    assert page.evaluate("eventLogging.dropped()") == 0


def test_what_cannot_be_reached_is_tried_again(page: Page, listener: RunningListener) -> None:
    page.route("**/beacon/event", lambda route: route.abort())
    page.evaluate("eventLogging.configure({delay: 0})")
    page.evaluate("eventLogging.logEvent('Edit', {n: 1})")
    page.wait_for_event("requestfailed")
    page.unroute("**/beacon/event")
    wait_for(lambda: len(listener.lines) == 1, DEADLINE_S, "the event")


def test_one_event_that_is_refused_takes_no_other_with_it(page: Page, listener: RunningListener) -> None:
    def refuse(route: Route) -> None:
        if "poison" in (route.request.post_data or ""):
            route.fulfill(status=400)
        else:
            route.continue_()

    page.route("**/beacon/event", refuse)
    for action in ("a", "poison", "b", "c"):
        page.evaluate(f"eventLogging.logEvent('Edit', {{action: '{action}'}})")
    # Requests are handed to `refuse` while the page is asked something.
    wait_for(lambda: page.evaluate("true") and len(listener.lines) == 3, DEADLINE_S, "the others")
    assert {event["event"]["action"] for event in capsules(listener)} == {"a", "b", "c"}
    page.wait_for_function("eventLogging.dropped() === 1")


def test_what_can_never_be_sent_is_said_and_counted(page: Page, listener: RunningListener) -> None:
    assert page.evaluate("eventLogging.logEvent('Edit', {s: 'x'.repeat(260000)})") is False
    assert page.evaluate("eventLogging.dropped()") == 1
    page.route("**/beacon/event", lambda route: route.abort())
    said = page.evaluate("Array.from({length: 30}, () => eventLogging.logEvent('Edit', {s: 'x'.repeat(99000)}))")
    assert said.count(False) == page.evaluate("eventLogging.dropped()") - 1 > 5


def test_no_value_of_the_page_makes_it_throw(page: Page, listener: RunningListener) -> None:
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.evaluate("eventLogging.configure({delay: 0})")
    said = page.evaluate(HOSTILE)
    assert {type(one) for one in said} == {bool}
    assert said[:6] == [False] * 6
    assert said[-6:] == [False] * 6
    wait_for(lambda: len(listener.lines) == said.count(True), DEADLINE_S, "what could be sent")
    assert page.evaluate("eventLogging.dropped()") == 6
    assert thrown == []


@pytest.mark.parametrize(
    "broken",
    [
        "console.warn = () => { throw 1; }",
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no'); }})",
        "Storage.prototype.setItem = () => { throw 1; }",
        "navigator.sendBeacon = () => false",
        "Object.prototype.polluted = {x: 1}",
    ],
)
def test_a_page_that_has_changed_the_browser_is_left_in_peace(
    browser: Browser, listener: RunningListener, broken: str
) -> None:
    thrown: list[str] = []
    context = browser.new_context()
    context.add_init_script(broken)
    page = context.new_page()
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.goto(f"http://127.0.0.1:{listener.port}/page.html")
    assert page.evaluate("[eventLogging.logEvent('Edit', {a: 1}), eventLogging.logEvent('Edti', {})]") == [True, False]
    wait_for(lambda: len(listener.lines) == 1, DEADLINE_S, "the event")
    page.evaluate("eventLogging.logEvent('Edit', {a: 2})")
    page.goto(f"http://127.0.0.1:{listener.port}/page.html")
    assert thrown == []
    context.close()


def test_the_script_included_twice_keeps_what_was_declared_and_waits(page: Page, listener: RunningListener) -> None:
    page.evaluate("eventLogging.logEvent('Edit', {a: 1})")
    page.add_script_tag(url="/eventlogging.js")
    assert page.evaluate("eventLogging.logEvent('Edit', {a: 2})") is True
    wait_for(lambda: len(listener.lines) == 2, DEADLINE_S, "both events")


def test_leaving_the_page_sends_what_waits(page: Page, listener: RunningListener) -> None:
    page.evaluate("eventLogging.configure({delay: 1e9})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(3000)})")
    assert listener.lines == []
    page.goto(f"http://127.0.0.1:{listener.port}/other.html")
    wait_for(lambda: len(listener.lines) == 2, DEADLINE_S, "both events")
    assert {len(event["event"]["action"]) for event in capsules(listener)} == {5, 3000}


def test_what_a_browser_had_sent_when_it_was_closed_is_taken(
    browser: Browser, chromium: str, tmp_path: Path, files: Path
) -> None:
    asked: list[BaseRequest] = []
    listener = RunningListener(tmp_path, files=files, guard=asked.append)
    closed = browser.browser_type.launch(executable_path=chromium, args=list(CHROMIUM))
    page = closed.new_page()
    page.goto(f"http://127.0.0.1:{listener.port}/page.html")
    listener.held.clear()
    page.evaluate("eventLogging.configure({delay: 0, maxUrl: 500})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'short'})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'x'.repeat(3000)})")
    wait_for(lambda: [one.content.is_eof() for one in asked if one.method == "POST"] == [True] * 2, DEADLINE_S, "POSTs")
    closed.close()
    listener.held.set()
    wait_for(lambda: len(listener.lines) == 2, DEADLINE_S, "both events")
    listener.listener.close()


def test_a_hidden_page_sends_at_once(page: Page, listener: RunningListener) -> None:
    page.evaluate("eventLogging.configure({delay: 1e9})")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'before'})")
    page.evaluate(
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden'});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    wait_for(lambda: len(listener.lines) == 1, DEADLINE_S, "what waited")
    page.evaluate("eventLogging.logEvent('Edit', {action: 'after'})")
    wait_for(lambda: len(listener.lines) == 2, DEADLINE_S, "what came then")


def test_a_share_of_pages_and_of_sessions_is_sampled(browser: Browser, listener: RunningListener) -> None:
    context = browser.new_context()
    page = context.new_page()
    found = []
    for _ in range(40):
        page.goto(f"http://127.0.0.1:{listener.port}/page.html")
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


def test_the_first_page_of_a_session_is_sampled_by_itself(browser: Browser, listener: RunningListener) -> None:
    differ = 0
    for _ in range(20):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{listener.port}/page.html")
        page.evaluate("eventLogging.declareSchema('ByPage', 1, {page: 0.5})")
        page.evaluate("eventLogging.declareSchema('BySession', 1, {session: 0.5})")
        differ += page.evaluate("eventLogging.inSample('ByPage') !== eventLogging.inSample('BySession')")
        context.close()
    assert differ


def test_do_not_track_is_respected_where_that_is_asked_for(page: Page, listener: RunningListener) -> None:
    page.evaluate("Object.defineProperty(navigator, 'doNotTrack', {value: '1'})")
    assert page.evaluate("eventLogging.logEvent('Edit', {})") is True
    page.evaluate("eventLogging.configure({respectDnt: true})")
    assert page.evaluate("eventLogging.logEvent('Edit', {})") is False


def test_an_undeclared_schema_is_no_error_of_the_page(page: Page, listener: RunningListener) -> None:
    said: list[str] = []
    # Chromium's own word on a missing favicon is an error, and comes when it comes.
    page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    assert page.evaluate("eventLogging.logEvent('Edti', {})") is False
    wait_for(lambda: said, DEADLINE_S, "a warning")
    assert said == ["eventLogging: schema Edti is not declared"]


def test_a_page_of_another_host_may_send(page: Page, listener: RunningListener, tmp_path: Path) -> None:
    other = RunningListener(tmp_path / "other")
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
        other.listener.close()
