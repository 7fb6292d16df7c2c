# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps the nodes in ZooKeeper that say which member of a group owns which partition.

Each partition has one node for the original's members and one for those of pykafka on Python 3, among them our earlier
versions, which write a topic's name as `b'<topic>'`. A member owns a partition when it has both; then it is one
member's alone, whatever the others of its group are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kazoo.exceptions import NodeExistsError, NoNodeError


class OwnerNodes:
    """The owners of one topic's partitions in one group.

    Args:
        group, topic: their names.
    """

    def __init__(self, group: str, topic: str) -> None:
        self.folders = (f"/consumers/{group}/owners/{topic}", f"/consumers/{group}/owners/{topic.encode()!r}")

    def held(self, zookeeper: Any, member: bytes) -> set[int]:
        """Return the partitions that a member owns."""
        by_folder = [{number for number, _, owner in _nodes(zookeeper, one) if owner == member} for one in self.folders]
        return by_folder[0] & by_folder[1]

    def claim(self, zookeeper: Any, member: bytes, leaders: Mapping[int, int]) -> int | None:
        """Claim partitions; returns the first that another member owns, None where all were claimed.

        Args:
            zookeeper: a session; the nodes go with it.
            member: who takes them.
            leaders: partition → the broker that leads it, which is part of a node's name.
        """
        # A node may be named after an earlier leader of its partition.
        found = [(folder, number, owner) for folder in self.folders for number, _, owner in _nodes(zookeeper, folder)]
        others = {number for _, number, owner in found if owner != member}
        for number, leader in sorted(leaders.items()):
            missing = [folder for folder in self.folders if (folder, number, member) not in found]
            if number in others or not _create_all(zookeeper, [f"{one}/{leader}-{number}" for one in missing], member):
                return number
        return None

    def release(self, zookeeper: Any, member: bytes, numbers: set[int]) -> None:
        """Release partitions."""
        for folder in self.folders:
            for number, path, owner in _nodes(zookeeper, folder):
                if number in numbers and owner == member:
                    with contextlib.suppress(NoNodeError):
                        zookeeper.delete(path)


def _create_all(zookeeper: Any, paths: Sequence[str], owner: bytes) -> bool:
    """Make all of these nodes, or none because one is there."""
    transaction = zookeeper.transaction()
    for path in paths:
        transaction.create(path, owner, ephemeral=True)
    results = transaction.commit()
    if any(isinstance(result, NodeExistsError) for result in results):
        return False
    for result in results:
        if isinstance(result, Exception):
            raise result
    return True


def _nodes(zookeeper: Any, folder: str) -> Iterator[tuple[int, str, bytes]]:
    """Yield each node's partition, path and owner."""
    for name in zookeeper.get_children(folder):
        number = name.rpartition("-")[2]
        path = f"{folder}/{name}"
        try:
            owner, _ = zookeeper.get(path)
        except NoNodeError:
            # It went between the two questions.
            continue
        if number.isdigit():
            yield int(number), path, owner
