# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Hours → markers in a local folder, asked for once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.connectors.registry import check_storage
from elworkers.importer.store import Store
from elworkers.importer.success_markers import NAME, SuccessMarkers

HOUR = "2016/11/24/15"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(check_storage(f"file://{tmp_path}"))


def test_an_hour_that_is_not_marked_is_asked_for_again_in_the_next_run(store: Store) -> None:
    markers = SuccessMarkers(store)
    assert not markers.has("Test", HOUR)
    store.touch(f"Test/{HOUR}/{NAME}")
    assert not markers.has("Test", HOUR)
    markers.refresh()
    assert markers.has("Test", HOUR)


def test_a_mark_is_known_until_it_is_forgotten(store: Store) -> None:
    markers = SuccessMarkers(store)
    assert not markers.has("Test", HOUR)
    markers.make("Test", HOUR)
    assert store.exists(f"Test/{HOUR}/{NAME}")
    store.remove(f"Test/{HOUR}/{NAME}")
    markers.refresh()
    assert markers.has("Test", HOUR)
    markers.forget()
    assert not markers.has("Test", HOUR)
