# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The browser client in a real Firefox; no driver is needed, because its pages themselves tell what they found."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any
from urllib.parse import unquote

import pytest
from beacons import RunningListener
from browsers import HOSTILE
from waiting import wait_for

DEADLINE_S = 60.0
EVENTS, LONG = 600, 5
FIRST = f"""<!DOCTYPE html><script src='/eventlogging.js'></script><script>
var thrown = [];
addEventListener('error', error => thrown.push(String(error.message)));
addEventListener('unhandledrejection', error => thrown.push(String(error.reason)));
eventLogging.declareSchema('Edit', 7, {{defaults: {{}}}});
const hostile = ({HOSTILE})(), dropped = eventLogging.dropped();
for (let i = 0; i < {EVENTS}; i++) eventLogging.logEvent('Edit', {{i}});
async function end() {{
    while (eventLogging.dropped() === dropped && performance.now() < 3000) {{
        await new Promise(done => setTimeout(done, 100));
    }}
    const found = {{found: 'first', hostile, dropped, now: eventLogging.dropped(), thrown}};
    await fetch('/beacon/event?' + encodeURIComponent(JSON.stringify(found)) + ';');
    eventLogging.configure({{delay: 1e9}});
    for (let i = 0; i < {LONG}; i++) eventLogging.logEvent('Edit', {{left: i, s: 'é'.repeat(15000)}});
    location = '/second.html';
}}
end();
</script>"""
SECOND = "<!DOCTYPE html><script src='/eventlogging.js'></script>second"


@pytest.fixture(scope="module")
def told(firefox: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What has come to the listener when both pages were there."""
    folder = tmp_path_factory.mktemp("firefox")
    files, home = folder / "files", folder / "home"
    files.mkdir()
    home.mkdir()
    (files / "first.html").write_text(FIRST, encoding="utf-8")
    (files / "second.html").write_text(SECOND, encoding="utf-8")
    listener = RunningListener(folder, files=files)
    browser = subprocess.Popen(
        [firefox, "--headless", "--no-remote", "--profile", home, f"http://127.0.0.1:{listener.port}/first.html"],
        env={**os.environ, "HOME": str(home), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def capsules() -> list[dict[str, Any]]:
        return [json.loads(unquote(line.split(b"\t")[0].decode()).strip("?;")) for line in list(listener.lines)]

    def left() -> set[int]:
        return {one["event"]["left"] for one in capsules() if "left" in one.get("event", {})}

    try:
        wait_for(lambda: left() == set(range(LONG)), DEADLINE_S, "what the first page could not send")
    finally:
        browser.terminate()
        browser.wait(DEADLINE_S)
        listener.listener.close()
    return capsules()


def test_no_value_of_a_page_makes_it_throw(told: list[dict[str, Any]]) -> None:
    (found,) = [one for one in told if one.get("found") == "first"]
    assert found["thrown"] == []
    assert {type(one) for one in found["hostile"]} == {bool}
    assert found["hostile"][:6] == found["hostile"][-6:] == [False] * 6
    assert found["dropped"] == found["now"] == 6


def test_many_small_events_and_those_of_a_page_that_is_left_all_arrive(told: list[dict[str, Any]]) -> None:
    numbers = {one["event"]["i"] for one in told if "i" in one.get("event", {})}
    assert numbers == set(range(EVENTS))
    uuids = {one["uuid"] for one in told if "left" in one.get("event", {})}
    assert len(uuids) == LONG
