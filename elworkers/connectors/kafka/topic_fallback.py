# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Creates topics with the numbers of one's own options where those of another instance file are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Numbers = tuple[int | None, int | None]
"""Partitions and replication of a topic; None: the broker's default."""

_INVALID_PARTITIONS, _INVALID_REPLICATION = 37, 38


def create_with_fallback(
    create: Callable[[Sequence[str], Numbers], Mapping[str, int]],
    rejected: Mapping[str, int],
    numbers: Numbers,
    fallback: Numbers,
) -> dict[str, int]:
    """Try again with the fallback of a number that Kafka rejects; return those that still cannot be created.

    Args:
        create: creates topics; returns those that could not be, with Kafka's error code.
        rejected: topics that could not be created with `numbers`, with Kafka's error code.
        numbers: what was tried.
        fallback: what replaces a number that is refused.
    """
    remaining = dict(rejected)
    for code, substitute in (
        (_INVALID_PARTITIONS, (fallback[0], numbers[1])),
        (_INVALID_REPLICATION, (numbers[0], fallback[1])),
    ):
        names = [name for name, found in rejected.items() if found == code]
        if names and substitute != numbers:
            for name in names:
                del remaining[name]
            remaining |= create_with_fallback(create, create(names, substitute), substitute, fallback)
    return remaining
