# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What pyproject.toml says that the project needs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TABLES: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = TABLES["project"]


def by_everybody() -> list[Requirement]:
    """What an installation without any extra asks for."""
    return [Requirement(line) for line in PROJECT["dependencies"]]


def by_extra(extra: str) -> Iterator[Requirement]:
    """What an extra asks for, and what the extras do that it names."""
    for wanted in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if wanted.name == PROJECT["name"]:
            for other in sorted(wanted.extras):
                yield from by_extra(other)
        else:
            yield wanted


def by_group(group: str) -> list[Requirement]:
    """What a group of tools asks for."""
    return [Requirement(line) for line in TABLES["dependency-groups"][group]]
