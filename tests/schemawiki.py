# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A schema wiki: `api.php?action=jsonschema` over HTTP, from schemas that a test puts into it."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class SchemaWiki:
    """Answers on a free port until it is closed.

    Attributes:
        schemas: revision → title and schema.
        asked: title and revision of each question so far.
        status: of every answer; other than 200, the body is a page.
        odd: title → status, headers and body of what is answered for it alone.
        dropped: titles → how many times nothing is answered for them.
        slow: title → seconds that each byte of the body takes.
        slow_headers: titles for which the headers have no end, at ten bytes a second.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, tuple[str, dict[str, Any]]] = {}
        self.asked: list[tuple[str, int]] = []
        self.status = 200
        self.odd: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.dropped: dict[str, int] = {}
        self.slow_headers: set[str] = set()
        self.slow: dict[str, float] = {}
        self._closed = threading.Event()
        wiki = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                left = wiki.dropped.get(query.get("title", ""), 0)
                if left > 0:
                    wiki.dropped[query["title"]] = left - 1
                    self.close_connection = True
                    return
                if query.get("title", "") in wiki.slow_headers:
                    self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
                    with contextlib.suppress(OSError):
                        while not wiki._closed.wait(0.1):
                            self.wfile.write(b"x")
                    return
                body = json.dumps(wiki.answer(query)) if wiki.status == 200 else "<html>an error page</html>"
                status, headers, content = wiki.odd.get(query.get("title", ""), (wiki.status, {}, body.encode()))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                pause_s = wiki.slow.get(query.get("title", ""))
                if pause_s is None:
                    self.wfile.write(content)
                    return
                with contextlib.suppress(OSError):
                    for byte in content:
                        self.wfile.write(bytes((byte,)))
                        wiki._closed.wait(pause_s)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.api = f"http://127.0.0.1:{self._server.server_address[1]}/w/api.php"

    def answer(self, query: dict[str, str]) -> dict[str, Any]:
        """What the wiki's API says."""
        assert (query["formatversion"], query["format"]) == ("2", "json")
        if query["action"] == "query":
            return {"batchcomplete": True, "query": {"general": {"sitename": "schemas"}}}
        assert query["action"] == "jsonschema"
        revision = int(query["revid"])
        self.asked.append((query["title"], revision))
        if revision not in self.schemas:
            return {"error": {"code": "nosuchrevid", "info": "There is no revision with this ID"}}
        title, schema = self.schemas[revision]
        return {"title": title, **schema}

    def close(self) -> None:
        """Stop answering."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
