# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Databases for tests: each on a real MariaDB, with and without LOAD DATA LOCAL, and on SQLite; and two brokers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import Place

from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.metrics import Counters
from elworkers.devstack import Stack


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


@pytest.fixture
def two_brokers(tmp_path: Path) -> Iterator[Stack]:
    with _two_brokers(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two brokers for the tests of a file, each of which starts again what it kills."""
    with _two_brokers(tmp_path_factory.mktemp("pair")) as made:
        yield made


@contextlib.contextmanager
def _two_brokers(folder: Path) -> Iterator[Stack]:
    made = Stack(folder / "stack")
    try:
        made.up("kafka")
        # Offsets are kept on the first broker, which stays.
        options = check_source(f"kafka:///{made.env()['KAFKA']}?topic=first&auto_offset_reset=earliest").options
        KafkaSource([made.env()["KAFKA"]], options, "first", Counters()).close()
        made.up("kafka-2")
        yield made
    finally:
        made.down()
