# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The documentation against the code: every option is described where people look for it."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import option_tables
import original
import pytest

from elworkers.config.uris import Options
from elworkers.roles import ROLES, module
from elworkers.roles.common_options import COMMON

ROOT = Path(__file__).parent.parent.parent
INSTANCES = (ROOT / "docs" / "instances.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", option_tables.tables().values())
def test_every_uri_option_is_in_the_tables(options: Options) -> None:
    for name, option in options.items():
        if option_tables.is_shown(option):
            assert option_tables.row(name, option) in INSTANCES


def test_the_tables_of_options_are_those_of_the_registry() -> None:
    assert option_tables.page(INSTANCES) == INSTANCES, "make tables writes them anew"
    alike = {("storage", "webhdfs"): ("storage", "hdfs")}
    assert {alike.get(one, one) for one in option_tables.tables()} == option_tables.shown(INSTANCES)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_described_with_its_arguments(role: str) -> None:
    words = [spec.name.upper() + ("…" if spec.many else "") for spec in module(role).SPEC.positionals]
    assert f"| {role} | {' '.join(words)}" in INSTANCES


def test_every_option_of_the_importer_is_in_its_table() -> None:
    page = (ROOT / "docs" / "importer.md").read_text(encoding="utf-8")
    for option in module("importer").SPEC.options:
        if option not in COMMON:
            default = option.default
            shown = "" if default in (None, False) else f"{default:g}" if isinstance(default, float) else default
            assert f"| `{option.flag}` | {shown} |" in page or option.flag == "--staging-dir"


def test_the_tables_of_the_originals_names_are_those_of_the_registry() -> None:
    text = original.PAGE.read_text(encoding="utf-8")
    assert text == original.page(text), "make tables writes them anew"


def test_the_table_of_confluent_kafka_is_that_of_its_driver() -> None:
    text = option_tables.KAFKA_PAGE.read_text(encoding="utf-8")
    assert "| `zookeeper_hosts` | no effect" in text
    assert text == option_tables.kafka_page(text), "make tables writes it anew"


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^- \*\*(.+?)\*\*: ", GLOSSARY, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", GLOSSARY))))
def test_every_name_of_code_in_the_glossary_exists(name: str) -> None:
    module_name, _, last = f"elworkers.{name}".rpartition(".")
    module = import_module(module_name)
    assert hasattr(module, last) or find_spec(f"{module_name}.{last}") is not None


def test_the_glossary_is_in_alphabetical_order() -> None:
    assert len(TERMS) > 50
    assert sorted(set(TERMS), key=str.lower) == TERMS


def test_the_readme_fits_on_one_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120
