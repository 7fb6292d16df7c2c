# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""URIs are taken apart once, when arguments are checked; all that comes later has the endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers import roles
from elworkers.config import endpoints, uris
from elworkers.config.argument_files import Argument
from elworkers.connectors import registry
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import CarryOver
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.pool_config import pool_config
from elworkers.roles.report import watched
from elworkers.roles.validate import check_arguments, rehearse

KAFKA = "kafka:///k:1?topics=a,b&identity=g"
ARGUMENTS = {
    "forwarder": ["stdin:", "file:///FOLDER/out", "stdout:"],
    "processor": ["%j", "stdin:", "file:///FOLDER/out", "--output-invalid=stdout:"],
    "multiplexer": ["stdout:", "stdin:", "file:///FOLDER/in"],
    "consumer": ["file:///FOLDER/in", "sqlite:////FOLDER/db", "--schemas=/FOLDER"],
}


def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URIs that are taken apart from now on."""
    found: list[str] = []

    def parse(text: str) -> uris.Uri:
        found.append(text)
        return uris.parse(text)

    for module in (registry, endpoints):
        monkeypatch.setattr(module, "parse", parse)
    return found


@pytest.mark.parametrize("role", ARGUMENTS)
def test_a_role_takes_each_uri_apart_once(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").touch()
    words = [word.replace("/FOLDER", str(tmp_path)) for word in ARGUMENTS[role]]
    found = parsed(monkeypatch)
    arguments = check_arguments(role, [Argument(word) for word in words])
    rehearse(arguments, {})
    pool_config(role, "x", arguments, None)
    builder = PipelineBuilder(Counters())
    roles.module(role).build(arguments, builder.with_carry_over(CarryOver())).close()
    assert sorted(found) == sorted(word.removeprefix("--output-invalid=") for word in words if ":" in word)


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("processor", ["%j", KAFKA, "kafka:///k:1?topic=eventlogging_{schema}", "--output-invalid"]),
        ("importer", ["kafka:///k:1?topics=.*", "file:///f"]),
    ],
)
def test_what_watches_or_imports_takes_none_apart_again(
    role: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = check_arguments(role, [Argument(word) for word in words])
    found = parsed(monkeypatch)
    (told,) = watched([arguments]).values() if role == "processor" else (None,)
    assert told is None or (told.raw, told.groups) == ({"a", "b"}, {("g", "a"), ("g", "b")})
    assert len(arguments.endpoints) == len([word for word in words if ":" in word])
    pool_config(role, "x", arguments, None)
    assert found == []


def test_an_input_of_several_topics_is_one_endpoint_for_each() -> None:
    arguments = check_arguments("forwarder", [Argument(KAFKA), Argument("stdout:")])
    assert [one.options["topic"] for one in arguments.endpoints["input"]] == ["a", "b"]
    assert [one.uri.scheme for one in arguments.endpoints["output"]] == ["stdout"]
