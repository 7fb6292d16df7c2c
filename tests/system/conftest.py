# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A topology for each test, ended with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from topology import Topology

Make = Callable[..., Topology]


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[Make]:
    """Makes a topology with these variables in its `env` file, in a folder of this name."""
    made: list[Topology] = []

    def make(environment: Mapping[str, str], folder: str | None = None) -> Topology:
        made.append(Topology(tmp_path / (folder or f"site{len(made)}"), environment))
        return made[-1]

    yield make
    for one in made:
        one.shutdown()
        # Shown with a test that fails.
        print(*one.complaints(), sep="\n")
