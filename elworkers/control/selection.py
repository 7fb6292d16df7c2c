# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Selects the instances that `ROLE[/NAME]` arguments mean."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from elworkers import roles
from elworkers.core.errors import ConfigurationError
from elworkers.roles.instances import InstanceFiles


@dataclass(frozen=True)
class Selection:
    """Programs by their names in supervisord, in the order in which they are started."""

    programs: tuple[str, ...]

    def by_role(self) -> list[list[str]]:
        """Return the programs of each role that has some, in the order of roles."""
        found = [[name for name in self.programs if name.startswith(f"{role}-")] for role in roles.ROLES]
        return [programs for programs in found if programs]

    def including(self, programs: Collection[str]) -> Selection:
        """Return the selection with these programs added."""
        return Selection((*self.programs, *sorted(set(programs) - set(self.programs))))


def select(configuration: InstanceFiles, names: Sequence[str]) -> Selection:
    """Return the named instances; all of them without names. Invalid ones can be named too.

    Raises:
        ConfigurationError: there is no such role or instance; names the nearest.
    """
    return select_titles(
        [one.title for one in configuration.instances] + [one.title for one in configuration.invalid], names
    )


def select_titles(titles: Sequence[str], names: Sequence[str]) -> Selection:
    """Return the selected instances of which only the titles are known, each `role/name`."""
    known = sorted((title for title in titles if title.partition("/")[0] in roles.ROLES), key=_start_order)
    if not names:
        return Selection(tuple(title.replace("/", "-", 1) for title in known))
    chosen: list[str] = []
    for text in names:
        role, slash, name = text.partition("/")
        role = roles.singular(role)
        meant = [f"{role}/{name}"] if slash and name else [title for title in known if title.startswith(f"{role}/")]
        for title in meant:
            if title not in known:
                nearest = difflib.get_close_matches(title, known, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known) or 'none'}"
                raise ConfigurationError(f"there is no instance {title}; {hint}")
            chosen.append(title.replace("/", "-", 1))
    order = [title.replace("/", "-", 1) for title in known]
    return Selection(tuple(sorted(set(chosen), key=order.index)))


def _start_order(title: str) -> tuple[int, str]:
    role, _, name = title.partition("/")
    return roles.ROLES.index(role), name
