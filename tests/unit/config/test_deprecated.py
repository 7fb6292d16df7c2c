# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Options that have another name now: the old one works, and is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.config.argument_files import read_command_line, read_lines
from elworkers.config.arguments import Arguments, Option, RoleSpec, parse
from elworkers.config.role_help import help_text
from elworkers.config.types import integer
from elworkers.control.init import main as init
from elworkers.core.errors import ConfigurationError
from elworkers.roles import ROLES, module
from elworkers.roles.instances import read_instances
from elworkers.roles.pool_config import pool_config

SPEC = RoleSpec("test", "", (), (Option("--size", "bytes", integer(1), aliases=("--length", "--extent")),))
IMPORTER = "kafka:///k:1\nfile:///base\n"
RENAMED = [(role, alias, one) for role in ROLES for one in module(role).SPEC.options for alias in one.aliases]


def read(text: str) -> Arguments:
    return parse(SPEC, read_lines(text.encode(), "FILE", {}))


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize("alias", ["--length", "--extent"])
@pytest.mark.parametrize("text", ["{} 7", "{}=7", "{}\n7"])
def test_an_old_name_gives_the_option_its_value(alias: str, text: str) -> None:
    arguments = read(f"# first\n{text.format(alias)}")
    assert arguments["size"] == 7
    assert [place.line for place in arguments.locations["size"]] == [2]
    ((old, new, place),) = arguments.deprecated
    assert (old, new, place.line) == (alias, "--size", 2)


def test_the_name_of_today_is_not_deprecated() -> None:
    assert (read("--size 7")["size"], read("--size 7").deprecated) == (7, ())


@pytest.mark.parametrize(
    "text", ["--length 1\n--size 2", "--size 2\n--length 1"], ids=["the old one first", "the old one last"]
)
def test_both_names_are_an_error_that_names_both(text: str) -> None:
    assert (
        refusal(text) == "FILE:2: --length is the deprecated name of --size, which is given too; expected only --size"
    )


def test_two_old_names_and_one_twice_are_errors() -> None:
    assert refusal("--length 1\n--extent 2") == "FILE:2: --length and --extent are both --size; expected it once"
    assert refusal("--length 1\n--length 2") == "FILE:2: --length is given twice; expected it once"


def test_an_error_of_the_value_names_what_is_written() -> None:
    assert refusal("--length x").startswith("FILE:1: --length 'x'; expected a whole number")
    assert "--length has no value" in refusal("--length")


def test_no_help_and_no_hint_advertises_an_old_name() -> None:
    assert "--length" not in help_text(SPEC)
    assert refusal("--lengths 1") == "FILE:1: unknown option --lengths; expected one of --size"


def test_there_are_old_names_and_none_of_them_is_another_options() -> None:
    assert ("importer", "--draft-dir", "--staging-dir") in [(role, old, one.flag) for role, old, one in RENAMED]
    for role in ROLES:
        names = [name for one in module(role).SPEC.options for name in (one.flag, *one.aliases)]
        assert len(names) == len(set(names))


def test_a_pool_is_told_of_an_old_name() -> None:
    arguments = parse(module("importer").SPEC, read_command_line(["--draft-dir=/d", *IMPORTER.split()], {}))
    assert pool_config("importer", "test", arguments, None).deprecated == (("--draft-dir", "--staging-dir"),)


def test_init_names_the_places_and_fails_at_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "etc" / "importers"
    folder.mkdir(parents=True)
    (folder / "one").write_text(f"{IMPORTER}--draft-dir=/d\n", encoding="utf-8")
    (folder / "two").write_text(f"--draft-dir=/d\n{IMPORTER}", encoding="utf-8")
    assert read_instances(folder.parent, {}).invalid == ()
    assert init([f"--config-dir={folder.parent}", f"--run-dir={tmp_path}/run"]) == 0
    said = capsys.readouterr().err
    assert "note: --draft-dir is deprecated; write --staging-dir: importer/one:3, importer/two:1" in said
