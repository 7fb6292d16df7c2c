# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which databases `eventlogging-schema` would change; what it does in one, tests with a MariaDB show."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.control import schema_tables
from elworkers.core.errors import EX_CONFIG

AWAY = "mysql://u:hunter2@127.0.0.1:1/log"


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    (tmp_path / "etc" / "consumers").mkdir(parents=True)
    return [f"--config-dir={tmp_path}/etc", f"--run-dir={tmp_path}/run"]


def instance(folder: Path, name: str, output: str) -> None:
    path = folder / "etc" / "consumers" / name
    path.write_text(f"kafka:///k:1?topic=t&identity=g\n{output}\n", encoding="utf-8")


def test_a_database_that_is_away_is_named_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema_tables.main(["migrate-tables", AWAY, AWAY]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("database mysql://u:***@127.0.0.1:1/log: Can't connect") == 1
    assert "hunter2" not in shown.out + shown.err


def test_those_of_the_consumers_are_meant_where_none_is_named(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, output in (("a", AWAY), ("same", f"{AWAY}?batch_size=9"), ("b", AWAY.replace(":1/", ":2/"))):
        instance(tmp_path, name, output)
    instance(tmp_path, "file", "file:///tmp/x")
    instance(tmp_path, "wrong", "mysqll://h/log")
    assert schema_tables.main(["migrate-tables", *folders]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [" skipped", " database mysql", " database mysql"]
    assert "wrong:2: no output has the scheme 'mysqll'" in lines[0]
    assert "127.0.0.1:1/log" in lines[1]
    assert "127.0.0.1:2/log" in lines[2]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sqlite:////tmp/x"], "sqlite:////tmp/x: expected mysql://USER:PASSWORD@HOST/DATABASE"),
        (["nothing"], "'nothing' is not a URI"),
        ([], "stores rows in mysql://; expected mysql://USER:PASSWORD@HOST/DATABASE"),
    ],
)
def test_what_is_no_such_database_is_an_error(
    folders: list[str], capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert schema_tables.main(["migrate-tables", *folders, *argv]) == EX_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
