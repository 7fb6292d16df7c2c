# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""pyproject.toml says what is needed, with ranges; requirements*.txt say exactly what is installed, with hashes."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from declared import PROJECT, ROOT, TABLES, by_everybody, by_extra, by_group
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TO_RUN = [*by_everybody(), *by_extra("all")]
WANTED = {
    "requirements.txt": TO_RUN,
    "requirements-dev.txt": [*TO_RUN, *by_group("dev")],
    "requirements-bench.txt": [*TO_RUN, *by_group("bench")],
    "requirements-build.txt": by_group("build"),
}


def locked(file: str) -> list[tuple[Requirement, int]]:
    """What a lock has: each requirement, and how many hashes stand beside it."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return [(Requirement(line.split(" --hash")[0]), line.count("--hash=sha256:")) for line in lines]


def here(file: str) -> dict[str, Requirement]:
    """What a lock has for the Python that runs this."""
    applies = [one for one, _ in locked(file) if one.marker is None or one.marker.evaluate()]
    found = {canonicalize_name(one.name): one for one in applies}
    assert len(found) == len(applies)
    return found


def version(pinned: Requirement) -> str:
    """The one version that a lock allows."""
    (only,) = pinned.specifier
    assert only.operator == "=="
    return only.version


@pytest.mark.parametrize("file", WANTED)
def test_a_lock_pins_what_the_project_asks_for_with_hashes(file: str) -> None:
    assert all(hashes for _, hashes in locked(file))
    for wanted in WANTED[file]:
        pins = [one for one, _ in locked(file) if canonicalize_name(one.name) == canonicalize_name(wanted.name)]
        assert pins, f"{wanted.name} is not in {file}; run `make lock`"
        assert all(wanted.specifier.contains(version(one)) for one in pins), f"{wanted}: run `make lock`"


@pytest.mark.parametrize("file", WANTED)
def test_no_two_locks_differ(file: str) -> None:
    dev: dict[str, set[str]] = {}
    for one, _ in locked("requirements-dev.txt"):
        dev.setdefault(canonicalize_name(one.name), set()).add(version(one))
    for one, _ in locked(file):
        assert version(one) in dev.get(canonicalize_name(one.name), {version(one)})


def test_what_is_installed_is_what_the_lock_says_and_all_that_it_needs() -> None:
    pins = here("requirements-dev.txt")
    for name, pinned in pins.items():
        assert importlib.metadata.version(name) == version(pinned)
        for line in importlib.metadata.requires(name) or []:
            needs = Requirement(line)
            if needs.marker is None or needs.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needs.name) in pins, f"{name} needs {needs}"


def test_every_dependency_has_its_reason_in_the_line_above() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for line in [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]:
        before = text[: text.rindex(f'"{line}"')]
        assert re.search(r"#[^\n]+\n[^\n]*\Z", before), line


def test_what_is_installed_leaves_room_for_what_else_is_there() -> None:
    for wanted in TO_RUN:
        assert wanted.specifier, f"{wanted} says from which version on"
        assert {one.operator for one in wanted.specifier} <= {">=", "<"}, wanted


def test_the_build_asks_for_a_setuptools_that_has_what_pykafka_needs() -> None:
    assert TABLES["build-system"]["requires"] == TABLES["dependency-groups"]["build"]
    wanted = Requirement(TABLES["build-system"]["requires"][0])
    assert [wanted.specifier.contains(one) for one in ("78.1.0", "78.1.1", "81.0")] == [False, True, False]
