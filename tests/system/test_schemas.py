# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Schemas that cannot be had or used, through the installed command: their events are refused, all others go on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from schemawiki import SchemaWiki
from topology import BIN

FINE = {"properties": {"a": {"type": "integer"}}}
DEADLINE_S = 60.0
HTML = b"<html>no such thing</html>"


@pytest.fixture
def wiki() -> Iterator[SchemaWiki]:
    made = SchemaWiki()
    yield made
    made.close()


def processed(names: list[str], schemas: str, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """Events by the schema that they named, where each name's own event stands between two of Fine."""
    turns = ["Fine", *(turn for name in names for turn in (name, "Fine"))]
    capsules = [
        {"schema": name, "revision": 1, "wiki": "w", "recvFrom": "h", "seqId": at, "timestamp": 1, "event": {"a": 1}}
        for at, name in enumerate(turns)
    ]
    done = subprocess.run(
        [BIN / "eventlogging-processor", "%j", "stdin:", "stdout:", "--output-invalid", "--schemas", schemas],
        input="".join(f"{json.dumps(one)}\n" for one in capsules),
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "EVENTLOGGING_SCHEMA_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        made = json.loads(line)
        found.setdefault(turns[made["seqId"]], []).append(made)
    assert len(found["Fine"]) == len(names) + 1
    assert all(one["schema"] == "Fine" for one in found["Fine"])
    return found


def test_a_wiki_with_something_odd_to_say_about_some_names(wiki: SchemaWiki, tmp_path: Path) -> None:
    wiki.schemas[1] = ("Fine", FINE)
    wiki.odd.update({f"Status{status}": (status, {}, HTML) for status in (400, 403, 404, 410, 414, 429, 500, 503)})
    wiki.odd["Page"] = (200, {}, HTML)
    wiki.odd["Elsewhere"] = (302, {"Location": "http://other.example/"}, b"")
    wiki.odd["Cut"] = (200, {"Content-Length": "99"}, b"{")
    wiki.odd["Maintenance"] = (200, {}, b'{"maintenance": true}')
    wiki.odd["Large"] = (200, {}, b'{"title": "Large"}' + b" " * 5_000_000)
    wiki.dropped["Silent"] = 1_000
    names = [*wiki.odd, "Silent"]
    found = processed(names, wiki.api, tmp_path)
    for name in names:
        (made,) = found[name]
        assert made["schema"] == "EventError"
        assert (made["event"]["code"], made["event"]["schema"]) == ("validation", name)
    assert [path.name for path in tmp_path.iterdir()] == ["Fine"]


def test_a_folder_with_something_odd_in_some_places(tmp_path: Path) -> None:
    (tmp_path / "Fine").mkdir()
    (tmp_path / "Fine" / "1.json").write_text(json.dumps(FINE), encoding="utf-8")
    texts = {
        "Empty": "",
        "NoObject": "[1]",
        "NoType": '{"properties": {"a": {"type": "timestamp"}}}',
        "NoPattern": '{"patternProperties": {"^(a": {}}}',
        "Loop": '{"properties": {"a": {"$ref": "#/properties/a"}}}',
        "Nowhere": '{"properties": {"a": {"$ref": "#/nowhere"}}}',
        "Draft": '{"$schema": "https://json-schema.org/draft-08/schema#"}',
        "Deep": '{"properties": {"a": ' + '{"extends": ' * 5_000 + "{}" + "}" * 5_002,
    }
    for name in (*texts, "Folder", "Pipe", "Link"):
        (tmp_path / name).mkdir()
    for name, text in texts.items():
        (tmp_path / name / "1.json").write_text(text, encoding="utf-8")
    (tmp_path / "Folder" / "1.json").mkdir()
    os.mkfifo(tmp_path / "Pipe" / "1.json")
    (tmp_path / "Link" / "1.json").symlink_to("1.json")
    names = [*texts, "Folder", "Pipe", "Link", "Fine/.", "Fine//", "./Fine", "Fine/../Fine"]
    found = processed(names, str(tmp_path), tmp_path / "cache")
    for name in names:
        (made,) = found[name]
        assert made["schema"] == "EventError"
        assert (made["event"]["code"], made["event"]["schema"]) == ("validation", name)


@pytest.mark.parametrize("status", [None, 503])
def test_a_wiki_that_does_not_answer_is_named_at_the_start(wiki: SchemaWiki, status: int | None) -> None:
    if status is None:
        wiki.close()
    else:
        wiki.status = status
    command = [BIN / "eventlogging-processor", "%j", "stdin:", "stdout:", "--schemas", wiki.api]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # No event comes that would ask for a schema.
        line = next(line for line in process.stderr if b"does not answer" in line)
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
    said = json.loads(line)
    assert (said["level"], said["wiki"]) == ("warning", wiki.api)
    assert said["reason"] == ("Connection refused" if status is None else "HTTP 503")


def test_a_schema_folder_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    command = [BIN / "eventlogging-processor", "%j", "stdin:", "stdout:", "--schemas", str(tmp_path / "none")]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 78
    assert b"there is no such folder" in done.stderr
