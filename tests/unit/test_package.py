# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What pyproject.toml and the package say about each other, and what a Python that is too old is told."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys

import pytest
import yaml
from declared import PROJECT, ROOT
from packaging.specifiers import SpecifierSet

import elworkers

PRETENDS = "import runpy, sys; sys.version_info = ({0}, 13); runpy.run_module('elworkers', run_name='__main__')"


@pytest.mark.parametrize("version", [(3, 6), (3, 10)])
def test_an_old_python_is_told_which_one_is_needed(version: tuple[int, int]) -> None:
    major, minor = version
    program = PRETENDS.format(f"{major}, {minor}")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"elworkers needs Python 3.11 or later; this is Python {major}.{minor}\n"


def test_an_old_python_can_read_the_sentence() -> None:
    # The oldest that the module `ast` knows to check.
    assert ast.parse((ROOT / "elworkers/__init__.py").read_text(encoding="utf-8"), feature_version=(3, 7)).body


def test_all_places_name_the_same_pythons() -> None:
    named = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python :: 3." in one]
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert [one for one in ("3.10", *named) if SpecifierSet(PROJECT["requires-python"]).contains(one)] == named
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {named[0]} to {named[-1]}" in readme


def test_the_version_has_one_source() -> None:
    assert "version" in PROJECT["dynamic"]
    assert importlib.metadata.version("elworkers") == elworkers.__version__


def test_the_license_is_named_and_there() -> None:
    told = importlib.metadata.metadata("elworkers")
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Author"] == "elworkers contributors"
    text = (ROOT / told["License-File"]).read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_hooks_fetch_nothing_and_run_what_make_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program, target = hook["entry"].split()
        assert (program, target in targets, hook["language"]) == ("make", True, "system")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_what_a_page_for_contributors_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:elworkers|tests|docs)/[\w./-]+)`", text) + re.findall(r"\]\(([^)#]+)\)", text)
    assert named
    for path in named:
        assert (ROOT / path).exists(), f"{page}: {path}"
    targets = re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = re.findall(r"^    make ([a-z. -]+?)(?:  |$)|`make ([a-z -]+)`", text, re.MULTILINE)
    for target in " ".join(one or other for one, other in commands).split():
        assert target in targets, f"{page}: make {target}"


def test_the_changelog_has_the_headings_that_are_usual() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    releases = [line for line in lines if line.startswith("## ")]
    assert releases[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in releases[1:])
    usual = ["### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"]
    newest = lines[lines.index(releases[0]) :]
    found = [line for line in newest if line.startswith("### ")]
    assert found == [one for one in usual if one in found]
