# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Schemas by name and revision: folders, the wiki, the cache, and what is remembered for how long."""

from __future__ import annotations

import gzip
import json
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemawiki import SchemaWiki

from elworkers.core.errors import ConfigurationError, InvalidEventError, RetryableError
from elworkers.core.metrics import Counters
from elworkers.events.schema_names import is_canonical
from elworkers.schema import wiki as schemawiki
from elworkers.schema.store import SCHEMA_WIKI, SchemaStore, schema_uris

SCHEMA: dict[str, Any] = {"properties": {"action": {"type": "string"}}}


@pytest.fixture
def wiki() -> Iterator[SchemaWiki]:
    made = SchemaWiki()
    yield made
    made.close()


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("json", '{"properties": {"action": {"type": "string"}}}'),
        ("yaml", "properties:\n  action: {type: string}\n"),
        ("yml", "properties:\n  action: {type: string}\n"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_folders(tmp_path: Path, prefix: str, ending: str, text: str) -> None:
    write(tmp_path, f"Edit/7.{ending}", text)
    assert SchemaStore([f"{prefix}{tmp_path}"]).schema("Edit", 7).source == SCHEMA


def test_the_first_that_has_it_wins(tmp_path: Path, wiki: SchemaWiki) -> None:
    write(tmp_path / "a", "Edit/1.json", '{"title": "of a"}')
    write(tmp_path / "b", "Edit/1.json", '{"title": "of b"}')
    write(tmp_path / "b", "Edit/2.json", '{"title": "of b"}')
    wiki.schemas[3] = ("Edit", {"description": "of the wiki"})
    store = SchemaStore([str(tmp_path / "a"), str(tmp_path / "b"), wiki.api])
    assert store.schema("Edit", 1).source["title"] == "of a"
    assert store.schema("Edit", 2).source["title"] == "of b"
    assert store.schema("Edit", 3).source["description"] == "of the wiki"
    assert wiki.asked == [("Edit", 3)]


def test_which_schemas_are_known_to_exist(tmp_path: Path, wiki: SchemaWiki) -> None:
    write(tmp_path / "folder", "a_b/7.yaml", "properties: {}")
    write(tmp_path / "folder", "a/b/7.txt", "properties: {}")
    wiki.schemas[3] = ("Edit", SCHEMA)
    store = SchemaStore([str(tmp_path / "folder"), wiki.api], tmp_path / "cache")
    asked = ("a_b", "a", "a/b", "EventError", "Edit", "..", "../folder/a_b")
    assert [name for name in asked if store.has(name)] == ["a_b", "EventError"]
    assert wiki.asked == []
    store.schema("Edit", 3)
    assert store.has("Edit")
    assert SchemaStore([wiki.api], tmp_path / "cache").has("Edit")


def test_our_own_schemas_need_no_repository() -> None:
    store = SchemaStore([])
    assert store.schema("EventError", 14035058).source["properties"]["rawEvent"]


def test_what_was_found_is_never_asked_for_again(wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    store = SchemaStore([wiki.api], unknown_for_s=0)
    for _ in range(3):
        store.schema("Edit", 7)
    wiki.status = 500
    store.schema("Edit", 7)
    assert wiki.asked == [("Edit", 7)]


def test_the_cache_on_disk_outlives_the_process_and_the_wiki(tmp_path: Path, wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    SchemaStore([wiki.api], tmp_path / "cache").schema("Edit", 7)
    wiki.status = 500
    again = SchemaStore([wiki.api], tmp_path / "cache").schema("Edit", 7)
    assert again.source["properties"] == SCHEMA["properties"]
    assert wiki.asked == [("Edit", 7)]


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    write(tmp_path, "Edit/7.json", '{"properties": ')
    assert SchemaStore([wiki.api], tmp_path).schema("Edit", 7).source["properties"] == SCHEMA["properties"]
    assert json.loads((tmp_path / "Edit" / "7.json").read_text(encoding="utf-8"))["properties"] == SCHEMA["properties"]


@pytest.mark.parametrize("text", ['{"maintenance": true}', '{"title": "PageView"}', '{"title": 7}', "[]"])
def test_what_the_cache_has_under_a_wrong_name_is_fetched_again(tmp_path: Path, wiki: SchemaWiki, text: str) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    write(tmp_path, "Edit/7.json", text)
    assert SchemaStore([wiki.api], tmp_path).schema("Edit", 7).source["properties"] == SCHEMA["properties"]


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    assert SchemaStore([wiki.api], tmp_path / "cache").schema("Edit", 7).source["properties"] == SCHEMA["properties"]


def test_an_unknown_schema_is_remembered_only_for_a_while(tmp_path: Path, wiki: SchemaWiki) -> None:
    now = [1_000.0]
    store = SchemaStore([wiki.api], tmp_path, unknown_for_s=60, clock=lambda: now[0])
    for _ in range(2):
        with pytest.raises(InvalidEventError, match="there is no schema Edit of revision 7"):
            store.schema("Edit", 7)
    assert len(wiki.asked) == 1
    wiki.schemas[7] = ("Edit", SCHEMA)
    now[0] += 59
    with pytest.raises(InvalidEventError):
        store.schema("Edit", 7)
    now[0] += 2
    assert store.schema("Edit", 7).source["properties"] == SCHEMA["properties"]


def test_a_wiki_that_is_away_makes_events_wait(wiki: SchemaWiki) -> None:
    wiki.status = 503
    store = SchemaStore([wiki.api])
    with pytest.raises(RetryableError, match="HTTP 503"):
        store.schema("Edit", 7)
    wiki.schemas[7] = ("Edit", SCHEMA)
    wiki.status = 200
    assert store.schema("Edit", 7)


def test_a_wiki_that_nobody_answers_for_makes_events_wait() -> None:
    gone = SchemaWiki()
    gone.close()
    with pytest.raises(RetryableError, match="ConnectionError"):
        SchemaStore([gone.api]).schema("Edit", 7)


def test_a_page_instead_of_an_answer_is_a_wiki_that_is_away(wiki: SchemaWiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: "<html>Our servers are under maintenance</html>")
    with pytest.raises(RetryableError, match="no JSON object"):
        SchemaStore([wiki.api]).schema("Edit", 7)


def test_a_wiki_that_is_away_hides_no_folder_behind_it(tmp_path: Path, wiki: SchemaWiki) -> None:
    wiki.status = 500
    write(tmp_path, "Edit/7.json", json.dumps(SCHEMA))
    store = SchemaStore([wiki.api, str(tmp_path)])
    assert store.schema("Edit", 7)
    with pytest.raises(RetryableError):
        store.schema("Edit", 8)


def test_a_revision_of_another_title_is_not_this_schemas(wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("PageView", SCHEMA)
    with pytest.raises(InvalidEventError, match="there is no schema Edit of revision 7"):
        SchemaStore([wiki.api]).schema("Edit", 7)


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        (None, 1, "schema is None; expected a string"),
        ("", 1, "is no name of 1 to 63"),
        ("a" * 64, 1, "is no name of 1 to 63"),
        ("../Edit", 1, "is no name of 1 to 63"),
        ("a/../../b", 1, "is no name of 1 to 63"),
        ("/etc/passwd", 1, "is no name of 1 to 63"),
        ("Edit/.", 1, "is no name of 1 to 63"),
        ("Edit//", 1, "is no name of 1 to 63"),
        ("./Edit", 1, "is no name of 1 to 63"),
        ("Édit", 1, "is no name of 1 to 63"),
        ("Edit", "1", "revision is '1'; expected an integer"),
        ("Edit", True, "revision is True; expected an integer"),
        ("Edit", 1.0, "revision is 1.0; expected an integer"),
        ("Edit", 0, "expected at least 1"),
        ("Edit", -1, "expected at least 1"),
        ("Edit", 2**70, "expected at least 1"),
    ],
)
def test_names_and_revisions_that_are_none(tmp_path: Path, name: object, revision: object, said: str) -> None:
    write(tmp_path, "Edit/1.json", "{}")
    store = SchemaStore([str(tmp_path)])
    store.schema("Edit", 1)
    with pytest.raises(InvalidEventError, match=said) as caught:
        store.schema(name, revision)
    assert caught.value.code == "validation"


@pytest.mark.parametrize("text", ["[1]", "null", "{", "\ufeff{}", "[" * 5_000])
def test_a_file_that_is_no_schema_makes_its_events_invalid(tmp_path: Path, text: str) -> None:
    write(tmp_path, "Edit/1.json", text)
    with pytest.raises(InvalidEventError, match="schema Edit of revision 1"):
        SchemaStore([str(tmp_path)]).schema("Edit", 1)


def test_where_schemas_are() -> None:
    environ = {"EVENTLOGGING_SCHEMAS": " /a  https://wiki/api.php "}
    assert schema_uris(["/given"], environ) == ["/given"]
    assert schema_uris([], environ) == ["/a", "https://wiki/api.php"]
    assert schema_uris([], {}) == [SCHEMA_WIKI]


@pytest.mark.parametrize("uri", ["ftp://host/schemas", "file://"])
def test_a_place_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a folder, or http"):
        SchemaStore([uri])


QUERY = "action=jsonschema&title=Odd&revid=8&formatversion=2&format=json"
HTML = b"<html>no such thing here</html>"


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ((400, {}, HTML), "HTTP 400"),
        ((403, {}, HTML), "HTTP 403"),
        ((414, {}, HTML), "HTTP 414"),
        ((429, {}, HTML), "HTTP 429"),
        ((500, {}, HTML), "HTTP 500"),
        ((503, {}, b'{"error": {"code": "readonly"}}'), "HTTP 503, readonly"),
        ((200, {}, HTML), "no JSON object"),
        ((200, {}, b"[1]"), "no JSON object"),
        ((200, {}, b"[" * 100_000), "no JSON object"),
        ((200, {}, b'{"error": {"code": "ratelimited"}}'), "error ratelimited"),
        ((200, {}, b'{"title": "Odd"}' + b" " * 5_000_000), "larger than"),
        ((302, {"Location": "http://localhost:9/x"}, b""), "redirects to another host"),
        (
            (302, {"Location": "?action=jsonschema&title=Odd&revid=8&formatversion=2&format=json"}, b""),
            "redirects more than",
        ),
        ((302, {}, b""), "HTTP 302"),
        ((302, {"Location": "http://["}, b""), "redirects to what is no address"),
        ((302, {"Location": "//127.0.0.1:nowhere/"}, b""), "InvalidURL"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "redirects to another host"),
        ((200, {"X-Long": "x" * 100_000}, b"{}"), "ConnectionError"),
        ((200, {}, b"{}"), "has no title"),
        ((200, {}, b'{"maintenance": true}'), "has no title"),
        ((200, {}, b'{"title": ["Odd"], "properties": {}}'), "has no title"),
        ((200, {"Content-Length": "99"}, b'{"title": "Odd"}'), "breaks off"),
        ((200, {"Content-Encoding": "gzip"}, b'{"title": "Odd"}'), "breaks off"),
        ((200, {"Transfer-Encoding": "chunked"}, b'{"title": "Odd"}'), "breaks off"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"title": "Odd"}' + b" " * 50_000_000)), "larger than"),
    ],
)
def test_what_a_wiki_has_against_one_name_holds_up_no_other(
    wiki: SchemaWiki, odd: tuple[int, dict[str, str], bytes], said: str
) -> None:
    now, counters = [1_000.0], Counters()
    wiki.odd["Odd"] = odd
    wiki.schemas[7] = ("Edit", SCHEMA)
    wiki.schemas[8] = ("Odd", SCHEMA)
    store = SchemaStore([wiki.api], clock=lambda: now[0], metrics=counters)
    for _ in range(2):
        with pytest.raises(InvalidEventError, match=said):
            store.schema("Odd", 8)
        assert store.schema("Edit", 7)
    assert said in counters.aside["schema Odd/8"]
    del wiki.odd["Odd"]
    now[0] += 61
    assert store.schema("Odd", 8)
    assert not counters.aside


def test_a_wikis_password_stands_in_no_message(wiki: SchemaWiki) -> None:
    wiki.odd["Odd"] = (500, {}, HTML)
    store = SchemaStore([wiki.api.replace("http://", "http://user:s3cret@")])
    with pytest.raises(InvalidEventError) as caught:
        store.schema("Odd", 8)
    wiki.status = 500
    with pytest.raises(RetryableError) as away:
        store.schema("Edit", 7)
    assert "s3cret" not in caught.value.message + str(away.value)
    assert "127.0.0.1" in caught.value.message


@pytest.mark.parametrize(
    "uri", ["http://", "https:///w/api.php", "http://[/", "http://wiki:port/", "http://u:s3cret@:1/"]
)
def test_an_address_of_a_wiki_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="expected http") as caught:
        SchemaStore([uri])
    assert "s3cret" not in str(caught.value)


def test_a_name_that_gets_no_answer_holds_up_no_other(wiki: SchemaWiki) -> None:
    wiki.dropped.update(Moment=1, Always=1_000)
    wiki.schemas.update({7: ("Edit", SCHEMA), 8: ("Moment", SCHEMA)})
    store = SchemaStore([wiki.api])
    assert store.schema("Moment", 8)
    with pytest.raises(InvalidEventError, match="gives no schema Always of revision 9: ConnectionError"):
        store.schema("Always", 9)
    assert store.schema("Edit", 7)


@pytest.mark.parametrize("status", [400, 404, 410, 451])
def test_a_wiki_that_refuses_something_small_is_away(wiki: SchemaWiki, status: int) -> None:
    wiki.odd["Odd"] = (500, {}, HTML)
    wiki.odd[""] = (status, {}, HTML)
    with pytest.raises(RetryableError, match="schema wiki"):
        SchemaStore([wiki.api]).schema("Odd", 8)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "400"}])
def test_an_answer_that_comes_byte_by_byte_has_an_end(
    wiki: SchemaWiki, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemawiki, "_LONGEST_S", 0.3)
    wiki.odd["Odd"] = (200, headers, b" " * 400)
    wiki.slow["Odd"] = 0.05
    wiki.schemas[7] = ("Edit", SCHEMA)
    store = SchemaStore([wiki.api])
    with pytest.raises(InvalidEventError, match=r"takes longer than 0\.3 s"):
        store.schema("Odd", 8)
    assert store.schema("Edit", 7)


def test_headers_that_come_byte_by_byte_have_an_end(wiki: SchemaWiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemawiki, "_LONGEST_S", 0.3)
    names = {"Odd", "Odder"}
    wiki.slow_headers.update(names)
    wiki.schemas[7] = ("Edit", SCHEMA)
    store = SchemaStore([wiki.api])
    for name in names:
        with pytest.raises(InvalidEventError, match=r"takes longer than 0\.3 s"):
            store.schema(name, 8)
    assert store.schema("Edit", 7)


@pytest.mark.parametrize("code", ["nosuchrevid", "invalidtitle", "revwrongpage"])
def test_a_wiki_may_say_with_any_status_that_there_is_no_such_schema(wiki: SchemaWiki, code: str) -> None:
    wiki.odd["Odd"] = (400, {}, json.dumps({"error": {"code": code}}).encode())
    with pytest.raises(InvalidEventError, match="there is no schema Odd of revision 8"):
        SchemaStore([wiki.api]).schema("Odd", 8)


@pytest.mark.parametrize("status", [401, 403, 407, 408, 429, 500, 503])
def test_a_wiki_that_refuses_even_something_small_is_away(wiki: SchemaWiki, status: int) -> None:
    wiki.status = status
    with pytest.raises(RetryableError, match=f"HTTP {status}"):
        SchemaStore([wiki.api]).schema("Edit", 7)


def test_a_schema_is_found_under_its_own_name_alone(wiki: SchemaWiki) -> None:
    wiki.schemas[7] = ("Edit", SCHEMA)
    store = SchemaStore([wiki.api])
    assert store.schema("Edit", 7)
    for name in ("edit", "Edit.", "Edit_", "EDIT"):
        with pytest.raises(InvalidEventError, match="there is no schema"):
            store.schema(name, 7)


def test_a_file_that_cannot_be_had_is_one_schemas_own(tmp_path: Path) -> None:
    (tmp_path / "Folder" / "1.json").mkdir(parents=True)
    write(tmp_path, "Dates/1.yaml", "properties: {a: {default: 2016-99-99}}\n")
    (tmp_path / "Loop").mkdir()
    (tmp_path / "Loop" / "1.json").symlink_to("1.json")
    store = SchemaStore([str(tmp_path)])
    for name in ("Folder", "Dates", "Loop"):
        with pytest.raises(InvalidEventError):
            store.schema(name, 1)


def test_a_place_that_has_it_makes_up_for_one_that_has_it_wrong(tmp_path: Path) -> None:
    write(tmp_path / "a", "Edit/1.json", "{")
    write(tmp_path / "b", "Edit/1.json", "{}")
    assert SchemaStore([str(tmp_path / "a"), str(tmp_path / "b")]).schema("Edit", 1).source == {}


segments = st.text("ab.-_/", max_size=8)


@given(segments)
def test_a_name_is_written_in_one_way_only(name: str) -> None:
    canonical = is_canonical(name)
    assert canonical == (posixpath.normpath(f"/{name}")[1:] == name and bool(name) and not name.startswith("/"))


def test_a_folder_that_is_not_there_is_the_configurations_fault(tmp_path: Path) -> None:
    for uri in (f"{tmp_path}/none", f"file://{tmp_path}/none"):
        with pytest.raises(ConfigurationError, match=f"--schemas {uri}: there is no such folder"):
            SchemaStore([uri])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        SchemaStore([str(tmp_path / "file")])
