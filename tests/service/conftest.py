"""Databases for tests: each on a real MariaDB, with and without LOAD DATA LOCAL, and on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import Place


@pytest.fixture(params=["load", "insert", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Place]:
    uri = f"sqlite:///{tmp_path}/events.db" if request.param == "sqlite" else request.getfixturevalue("mariadb")
    made = Place(uri, unique("Test"), local_infile=request.param == "load")
    yield made
    made.close()


@pytest.fixture(params=["load", "insert"])
def maria(request: pytest.FixtureRequest, mariadb: str, unique: Callable[[str], str]) -> Iterator[Place]:
    made = Place(mariadb, unique("Test"), local_infile=request.param == "load")
    yield made
    made.close()
