# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Works out with how many partitions and replicas a topic is created, from what all instance files say of it.

Whoever starts first makes a topic. `eventlogging-init`, which reads all files, leaves here what they say together, so
that it does not matter who that is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

FILE = "topics.json"
"""Its name in the run folder."""
_HOLE = re.compile(r"\{[^{}]*\}")


class WantedSettings(NamedTuple):
    """What one instance says of a topic.

    Attributes:
        hosts: the brokers, each `host:port`.
        topic: its name, or a template with `{field}` in it.
        partitions, replication: None where it does not say.
        where: `role/name`.
    """

    hosts: tuple[str, ...]
    topic: str
    partitions: int | None
    replication: int | None
    where: str


class TopicSettings(NamedTuple):
    """How a topic has to be made.

    Attributes:
        partitions, replication: the largest that is configured; None: none is.
        where: the `role/name` that asks for these partitions, and the one that asks for these replicas.
    """

    partitions: int | None = None
    replication: int | None = None
    where: tuple[str, str] = ("", "")

    def differs(self, partitions: int, replication: int) -> str:
        """Return how an existing topic differs from these settings, as a sentence; empty if it does not.

        Args:
            partitions, replication: what it has.
        """
        found = [
            f"it has {has} {noun if has == 1 else f'{noun}s'}, and {where} says {option}={wanted}"
            for noun, option, has, wanted, where in (
                ("partition", "partitions", partitions, self.partitions, self.where[0]),
                ("replica", "replication", replication, self.replication, self.where[1]),
            )
            if wanted is not None and has != wanted
        ]
        return "; ".join(found)


class TopicPlan:
    """What was left in a run folder.

    Args:
        run_dir: None, or one without the file: nothing is configured.
        hosts: the brokers, each `host:port`; files that name one of them mean the same cluster.
        own: what the process itself was told of its topics: partitions and replication.

    Attributes:
        own: see above.
    """

    def __init__(self, run_dir: Path | None, hosts: Sequence[str], own: tuple[int | None, int | None]) -> None:
        self._file = run_dir / FILE if run_dir else None
        self._hosts = frozenset(hosts)
        self.own = own

    def of(self, topics: Iterable[str]) -> dict[str, TopicSettings]:
        """Return the settings of each topic. A file that cannot be read says nothing."""
        wanted = [one for one in read(self._file) if self._hosts & set(one.hosts)]
        return {topic: self._settings([one for one in wanted if matches(one.topic, topic)]) for topic in topics}

    def _settings(self, wanted: Sequence[WantedSettings]) -> TopicSettings:
        own = WantedSettings((), "", *self.own, "this instance")
        most = max((own, *wanted), key=lambda one: one.partitions or 0)
        widest = max((own, *wanted), key=lambda one: one.replication or 0)
        return TopicSettings(most.partitions, widest.replication, (most.where, widest.where))


def text(wanted: Iterable[WantedSettings]) -> str:
    """Return the content of the file."""
    return json.dumps([one._asdict() for one in wanted if one.partitions or one.replication], indent=1) + "\n"


def read(file: Path | None) -> list[WantedSettings]:
    """Return what the file says; nothing where it cannot be read."""
    try:
        wanted = json.loads(file.read_bytes()) if file else []
        return [
            WantedSettings(tuple(one["hosts"]), *(one[name] for name in WantedSettings._fields[1:])) for one in wanted
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def matches(template: str, topic: str) -> bool:
    """Return whether a topic has the name that a template can have, or is it."""
    if "{" not in template:
        return template == topic
    return re.fullmatch(".+".join(map(re.escape, _HOLE.split(template))), topic) is not None
