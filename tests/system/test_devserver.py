# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-devserver`: what people who instrument a page see."""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import sync_playwright
from topology import BIN, SCHEMAS, free_port, free_udp_port
from waiting import wait_for

from demo.listeners import CHROMIUM
from elworkers.devserver.guard import HEADER

DEADLINE_S = 60.0
CAPSULE = '{"schema": "SaveTiming", "revision": 15396492, "wiki": "w", "webHost": "h", "event": {"saveTiming": %s}}'


class Devserver:
    """One on free ports."""

    def __init__(self, folder: Path, *words: str, colours: bool = True) -> None:
        self.http, self.udp = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_udp_port()}"
        self._output = folder / "output"
        command = [BIN / "eventlogging-devserver", f"--bind={self.http}", f"--udp={self.udp}", f"--schemas={SCHEMAS}"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **({"FORCE_COLOR": "1"} if colours else {})},
            )
        wait_for(lambda: "browser client" in self.said(), DEADLINE_S, "its first line")

    def said(self, plain: bool = True) -> str:
        text = self._output.read_text(encoding="utf-8")
        return re.sub(r"\x1b\[[0-9;]*m", "", text) if plain else text

    def post(self, body: str) -> int:
        return self.ask("POST", "", body.encode())

    def get(self, query: str, headers: Mapping[str, str] = MappingProxyType({})) -> int:
        return self.ask("GET", f"?{query}", None, headers)

    def ask(
        self, method: str, query: str, body: bytes | None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> int:
        connection = http.client.HTTPConnection(self.http, timeout=DEADLINE_S)
        sent = {name: value.encode() for name, value in headers.items()}
        connection.request(method, f"/beacon/event{query}", body, sent)
        status = connection.getresponse().status
        connection.close()
        return status

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def devserver(tmp_path: Path) -> Iterator[Devserver]:
    made = Devserver(tmp_path)
    yield made
    made.process.kill()
    made.process.wait(DEADLINE_S)


def test_each_event_is_shown_with_what_is_wrong_with_it(devserver: Devserver) -> None:
    assert devserver.post(CAPSULE % 1234) == 204
    assert devserver.post(CAPSULE % '"slow"') == 204
    assert devserver.post((CAPSULE % 1).replace("SaveTiming", "SaveTimign")) == 204
    assert devserver.post("[3]") == 204
    wait_for(lambda: devserver.said().count("INVALID") == 3, DEADLINE_S, "all events")
    said = devserver.said()
    assert re.search(r"^valid    SaveTiming 15396492  w\n\{\n  \"saveTiming\": 1234\n\}$", said, re.MULTILINE)
    assert "INVALID  SaveTiming 15396492  event.saveTiming: 'slow' is not of type 'integer'" in said
    assert "there is no schema SaveTimign" in said
    assert "\x1b[1;31mINVALID" in devserver.said(plain=False)
    assert devserver.end() == 0
    assert "1 valid, 3 invalid" in devserver.said()


def test_datagrams_of_mediawiki_are_shown_too(devserver: Devserver) -> None:
    host, _, port = devserver.udp.partition(":")
    server_side = (CAPSULE % 99).replace("{", '{"recvFrom": "mw1", "timestamp": 1469795696, ', 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"EventLogging {server_side}\nnonsense\n".encode(), (host, int(port)))
    wait_for(lambda: "INVALID" in devserver.said(), DEADLINE_S, "both lines")
    assert '"saveTiming": 99' in devserver.said()
    assert "does not match the format" in devserver.said()


def test_what_is_wrong_is_shown_as_a_person_would_write_it(devserver: Devserver) -> None:
    assert devserver.get(quote_plus(CAPSULE % '"very slow"')) == 204
    wait_for(lambda: '"saveTiming": "very slow"' in devserver.said(), DEADLINE_S, "the event")


def test_where_there_is_no_terminal_there_are_no_colours(tmp_path: Path) -> None:
    devserver = Devserver(tmp_path, "--brief", colours=False)
    try:
        assert devserver.post(f"[{CAPSULE % 1}, {CAPSULE % 'null'}]") == 204
        wait_for(lambda: "INVALID" in devserver.said(), DEADLINE_S, "both events")
        assert devserver.end() == 0
        assert devserver.said(plain=False).splitlines()[1:] == [
            "valid    SaveTiming 15396492  w",
            "INVALID  SaveTiming 15396492  event.saveTiming: None is not of type 'integer'",
            "1 valid, 1 invalid",
        ]
    finally:
        devserver.process.kill()
        devserver.process.wait(DEADLINE_S)


OTHER_PAGE = """<!DOCTYPE html><script>
const url = 'http://%s/beacon/event', event = encodeURIComponent('%s');
new Image().src = url + '?' + event;
navigator.sendBeacon(url, decodeURIComponent(event));
fetch(url, {method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer', body: decodeURIComponent(event)});
fetch(url + '?' + event, {headers: {'%s': '1'}}).catch(() => { document.title = 'done'; });
</script>"""


def test_pages_of_others_reach_nothing(tmp_path: Path, chromium: str) -> None:
    (tmp_path / "own.html").write_text(
        f"<script>navigator.sendBeacon('/beacon/event', '{CAPSULE % 7}')</script>", encoding="utf-8"
    )
    devserver = Devserver(tmp_path, "--brief", f"--files={tmp_path}", colours=False)
    answered: list[int] = []
    with sync_playwright() as driver, pages(tmp_path) as port:
        (tmp_path / "other.html").write_text(OTHER_PAGE % (devserver.http, CAPSULE % 8, HEADER), encoding="utf-8")
        page = driver.chromium.launch(executable_path=chromium, args=list(CHROMIUM)).new_page()
        page.on("response", lambda response: answered.append(response.status))
        page.goto(f"http://localhost:{port}/other.html")
        page.wait_for_function("document.title === 'done'")
        page.goto(f"http://{devserver.http}/own.html")
        wait_for(lambda: "valid" in devserver.said(), DEADLINE_S, "the event of its own page")
    assert devserver.end() == 0
    assert "1 valid, 0 invalid" in devserver.said()
    assert f"rejected: requests of pages of http://localhost:{port}; to accept them: --allow-origin" in devserver.said()
    assert {200, 403} == set(answered)


def test_the_pages_of_a_wiki_are_let_in_by_name_and_programs_always(tmp_path: Path) -> None:
    wiki = "http://wiki.test:8080"
    devserver = Devserver(tmp_path, f"--allow-origin={wiki}")
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 204),
        ({"User-Agent": "curl/8"}, 204),
        ({"Origin": wiki}, 204),
        ({"Referer": f"{wiki}/page?a", "Sec-Fetch-Site": "cross-site"}, 204),
        ({"Origin": "https://wiki.test:8080"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://évil.test\u202e"}, 403),
        ({"Referer": f"{wiki}.evil.test/"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux)"}, 403),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux)", HEADER: "1"}, 204),
        ({"Host": "evil.test:8080", "Origin": "http://evil.test:8080"}, 403),
        ({"Host": "evil.test", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "[::1]:8080"}, 204),
        ({"Host": "LOCALHOST:1", "Origin": "http://localhost:1"}, 204),
    ]
    try:
        assert [devserver.get(quote_plus(CAPSULE % 1), headers) for headers, _ in cases] == [want for _, want in cases]
        assert devserver.ask("OPTIONS", "", None, {"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site"}) == 403
    finally:
        devserver.end()
    assert "\u202e" not in devserver.said()


def test_an_origin_that_is_none_is_an_error() -> None:
    command = [BIN / "eventlogging-devserver", "--allow-origin=wiki.test"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert "argument --allow-origin: 'wiki.test'; expected http(s)://HOST[:PORT]" in done.stderr


@contextlib.contextmanager
def pages(folder: Path) -> Iterator[int]:
    """A server of somebody else's pages; gives its port."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_an_address_that_is_taken_is_named(devserver: Devserver) -> None:
    command = [BIN / "eventlogging-devserver", f"--bind={devserver.http}", f"--udp={devserver.udp}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert f"http://{devserver.http}: cannot be bound" in done.stderr
    assert "choose another by --bind" in done.stderr
