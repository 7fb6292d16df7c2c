# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which functions are taken, and what is said of the others: before a program starts, and as it starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from elworkers.config.argument_files import read_lines
from elworkers.config.arguments import Arguments
from elworkers.config.uris import parse
from elworkers.core.errors import ConfigurationError
from elworkers.functions.finding import FOLDERS
from elworkers.functions.loading import loaded
from elworkers.roles.instances import read_instances
from elworkers.roles.validate import check_arguments, rehearse

INPUT = "kafka:///k:1?topic=t&identity=g"
MODULE = """
import json as jason
from os.path import join, no_such_name_but_nobody_looks as late

NUMBER = 3
LISTED: list = [print]
alias = print

def good(event):
    return event

class Made:
    @staticmethod
    def inner(event):
        return event

async def soon(event):
    return event

if NUMBER:
    def within(event):
        return event
else:
    try:
        def other(event):
            return event
    except ValueError:
        pass
"""


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    folder = tmp_path / "functions"
    (folder / "site_of_ours" / "deep").mkdir(parents=True)
    (folder / "site_of_ours" / "__init__.py").write_text("raise SystemExit('nobody may import this to look')\n")
    (folder / "site_of_ours" / "deep" / "functions.py").write_text(MODULE)
    (folder / "site_of_ours" / "broken.py").write_text("def good(event):\n    return (event\n")
    (folder / "site_of_ours" / "all.py").write_text("from os.path import *\n")
    (folder / "only_a_folder").mkdir()
    return {FOLDERS: str(folder)}


def read(env: Mapping[str, str], *lines: str, role: str = "consumer") -> Arguments:
    return check_arguments(role, read_lines("\n".join(lines).encode(), "FILE", {}), env)


def named(function: str) -> str:
    return f"map://{INPUT}&function={function}"


@pytest.mark.parametrize("name", ["good", "alias", "Made", "Made.inner", "within", "other", "jason", "late", "join"])
def test_a_function_is_found_without_executing_anything(name: str, env: Mapping[str, str]) -> None:
    read(env, named(f"site_of_ours.deep.functions:{name}"), "stdout:")
    assert "site_of_ours" not in sys.modules


@pytest.mark.parametrize("function", ["site_of_ours.all:join", "elworkers.functions.builtin:is_not_bot", "json:dumps"])
def test_what_only_executing_would_show_is_left_to_the_start(function: str, env: Mapping[str, str]) -> None:
    found = read(env, named(function), "stdout:")
    assert [wrap.function for wrap in parse(found["input"]).wraps] == [function]
    assert "site_of_ours" not in sys.modules


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("site_of_ours.deep.functions:god", "deep/functions.py has no god; did you mean good?"),
        ("site_of_ours.deep.functions:NUMBER", "functions.py:5: NUMBER is no function; expected one that takes"),
        ("site_of_ours.deep.functions:LISTED", "functions.py:6: LISTED is no function"),
        ("site_of_ours.deep.functions:soon", "soon is a coroutine; expected a function that gives its result at once"),
        ("site_of_ours.deep.function:good", "there is no module site_of_ours.deep.function; expected one in"),
        (
            "no_such_module_here:good",
            f"there is no module no_such_module_here; expected one in Python's path or {FOLDERS}",
        ),
        ("json.decoder.more:x", "there is no module json.decoder.more"),
        ("site_of_ours.broken:good", "broken.py:2 is not valid Python: '(' was never closed; expected a module"),
        ("mysql_maper", "there is no such function; expected MODULE:NAME, or the name of an entry point"),
        ("mysql_maper", "did you mean mysql_mapper?"),
        ("/usr/local/lib/eventlogging/plugins.py", "no plug-in folder is executed; built in are"),
        ("plugins.py:f()", "expected MODULE:NAME"),
        (":f", "expected MODULE:NAME"),
        ("eventlogging_schemas_disabled_filter", "it has no list of schemas; expected schemas=NAME,NAME,…"),
        ("eventlogging_valid_mixed_filter&schemas=,", "or eventlogging_valid_mixed_schema_whitelist = (…) in"),
        ("mysql_mapper&schemas=A", "it takes no option schemas"),
        ("json:dumps&schemas=A", "it takes no option schemas"),
    ],
)
def test_what_is_no_function_is_refused_with_its_line(function: str, said: str, env: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(env, "# a comment", named(function), "stdout:")
    assert str(caught.value).startswith(f"FILE:2: map URI: function={function.partition('&')[0]}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("role", "lines", "line"),
    [
        ("consumer", [INPUT, "filter://mysql://u@h/log?function=no:f"], 2),
        ("processor", ["%j", INPUT, "stdout:", "filter://stdout:?function=no:f"], 4),
        ("processor", ["%j", INPUT, "stdout:", "--output-invalid=map://stdout:?function=no:f"], 4),
        ("processor", ["%j", f"map://{INPUT}&function=no:f", "stdout:"], 2),
        ("multiplexer", ["map://stdout:?function=no:f", INPUT], 1),
        ("forwarder", [f"map://{INPUT}&function=no:f", "stdout:"], 1),
    ],
)
def test_every_place_of_a_function_is_looked_at(role: str, lines: list[str], line: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"^FILE:{line}: (map|filter) URI: function=no:f: there is no module"):
        read({}, *lines, role=role)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("map:///k:9092?topic=t&function=mysql_mapper", "map URI: no URI behind it; expected map://SCHEME://…"),
        (f"map://{INPUT}", "map URI: no function; expected one function=NAME"),
        (
            f"filter://map://{INPUT}&function=a",
            "function= is there 1 times; expected one function=NAME for each of filter://, map://",
        ),
        (f"map://{INPUT}&function=a&function=b", "function= is there 2 times; expected one function=NAME"),
        (f"{INPUT}&function=mysql_mapper", "option function belongs to map:// or filter://; expected map://kafka:"),
        (f"map://{INPUT}&function=a&function", "option 'function' has no value"),
        (f"map://{INPUT}&function=is_not_bot&topik=t", "unknown option 'topik'; did you mean 'topic'?"),
        ("mapp://kafka:///k:1?topic=t&function=f", "no input has the scheme 'mapp'; did you mean 'map'?"),
    ],
)
def test_what_is_no_wrapped_uri_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({}, text, "stdout:")
    assert said in str(caught.value)


def test_a_wrapped_uri_is_the_one_behind_it() -> None:
    uri = parse(
        "filter://map://kafka-confluent:///k1:9092,k2:9092?function=a&topic=t&function=b%3Ac&raw=True&schemas=S"
    )
    assert (uri.scheme, uri.hosts) == ("kafka", ("k1:9092", "k2:9092"))
    assert uri.query == (("topic", "t"), ("raw", "True"))
    assert [(wrap.scheme, wrap.function) for wrap in uri.wraps] == [("filter", "a"), ("map", "b:c")]
    assert {wrap.schemas for wrap in uri.wraps} == {"S"}
    assert parse(str(uri)) == uri


def test_a_list_of_schemas_is_for_the_function_that_takes_one(env: Mapping[str, str]) -> None:
    both = "function=eventlogging_schemas_disabled_filter&schemas=A&function=site_of_ours.deep.functions:good"
    found = read(env, f"filter://map://{INPUT}&{both}", "stdout:")
    assert {wrap.function: wrap.schemas for wrap in parse(found["input"]).wraps} == {
        "eventlogging_schemas_disabled_filter": "A",
        "site_of_ours.deep.functions:good": "A",
    }


def test_a_password_behind_a_function_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({}, INPUT, "map://mysql://u:hunter2@h/log?function=no:f")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(parse("map://mysql://u:hunter2@h/log?function=f"))


@pytest.mark.parametrize("text", ["map://kafka:///k:1?function=is_not_bot", f"filter://{INPUT}&function=is_not_bot"])
def test_an_importer_takes_no_functions(text: str) -> None:
    with pytest.raises(ConfigurationError, match="an importer writes messages as they are"):
        read({}, text, "file:///srv/events", role="importer")


def test_inputs_that_nobody_can_tell_apart_have_the_same_functions() -> None:
    with pytest.raises(ConfigurationError, match="inputs of topic t have different functions"):
        read({}, "stdout:", INPUT, f"map://{INPUT}&function=mysql_mapper", role="multiplexer")
    wrapped = f"map://{INPUT}&function=mysql_mapper"
    read({}, "stdout:", wrapped, f"{wrapped}&auto_start=True", INPUT.replace("topic=t", "topic=u"), role="multiplexer")


def test_folders_are_paths_from_the_root_on() -> None:
    with pytest.raises(ConfigurationError, match=f"{FOLDERS}: here is not an absolute path"):
        read({FOLDERS: "here"}, named("json:dumps"), "stdout:")


def test_an_entry_point_is_a_function_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours-1.dist-info").mkdir()
    (tmp_path / "ours-1.dist-info" / "METADATA").write_text("Name: ours\nVersion: 1\n")
    (tmp_path / "ours-1.dist-info" / "entry_points.txt").write_text(
        "[elworkers.functions]\nours = module_of_an_entry_point:f\ngone = module_of_an_entry_point:g\n"
    )
    (tmp_path / "module_of_an_entry_point.py").write_text("def f(event):\n    return 'ours'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (place,) = parse(named("ours")).wraps
    read({}, named("ours"), "stdout:")
    assert loaded(place, {}).call({}) == "ours"
    with pytest.raises(ConfigurationError, match=r"module_of_an_entry_point\.py has no g"):
        read({}, named("gone"), "stdout:")


PLUGIN = """
raise SystemExit("nobody may execute this")

import dateutil.parser

eventlogging_schemas_disabled = (
    # A comment.
    'Test',
    'Edit',
)
eventlogging_valid_mixed_schema_whitelist = tuple(sorted(['Edit']))

def ours(event):
    return event
"""


def test_lists_of_a_plug_in_are_read_and_nothing_of_it_is_executed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("(")
    (tmp_path / "plugins.py").write_text(PLUGIN)
    env = {"EVENTLOGGING_PLUGIN_DIR": str(tmp_path)}
    text = named("eventlogging_schemas_disabled_filter")
    read(env, text, "stdout:")
    (wrap,) = parse(text).wraps
    function = loaded(wrap, env)
    assert [function.call({"schema": name}) for name in ("Test", "Edit", "Other")] == [False, False, True]
    (wrap,) = parse(f"{text}&schemas=Other").wraps
    assert [loaded(wrap, env).call({"schema": name}) for name in ("Test", "Other")] == [True, False]
    with pytest.raises(ConfigurationError, match="it has no list of schemas"):
        read(env, named("eventlogging_valid_mixed_filter"), "stdout:")
    with pytest.raises(ConfigurationError) as caught:
        read(env, named("ours"), "stdout:")
    way = f"expected function=plugins:ours and {FOLDERS}={tmp_path}"
    assert f"a plug-in of {tmp_path}/plugins.py is not executed by itself; {way}" in str(caught.value)


def test_init_and_ctl_know_the_folders_of_the_run_folder(tmp_path: Path, env: Mapping[str, str]) -> None:
    (tmp_path / "site" / "consumers").mkdir(parents=True)
    (tmp_path / "site" / "consumers" / "one").write_text(f"{named('site_of_ours.deep.functions:good')}\nstdout:\n")
    assert len(read_instances(tmp_path / "site", env).instances) == 1
    assert "there is no module site_of_ours" in str(read_instances(tmp_path / "site", {}).invalid[0].error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "f = print; import no_such_module_at_all",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at",
        ),
        ("f = 1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("f = print; raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("f = print; import os; os._exit(0)", "the process that imported it ended without an error message"),
        ("from math import pi as f", "it is of type float; expected a function that takes an event"),
        ("from elworkers import *\ndef g(): pass", "has no attribute 'f'"),
    ],
)
def test_what_cannot_be_imported_is_refused_at_the_start_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    name = f"starts_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    env = {FOLDERS: str(tmp_path)}
    arguments = read(env, INPUT, f"filter://stdout:?function={name}:f")
    with pytest.raises(ConfigurationError) as caught:
        rehearse(arguments, env)
    assert str(caught.value).startswith(f"FILE:2: filter URI: function={name}:f: ")
    assert said in str(caught.value)
    assert name not in sys.modules


def test_what_can_be_imported_starts(env: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "functions" / "starts_well.py").write_text("def f(event): return event\n")
    rehearse(read(env, named("starts_well:f"), "stdout:"), env)
    assert "starts_well" not in sys.modules
