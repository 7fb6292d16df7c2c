# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which hours are complete, and marks them with `_SUCCESS`."""

from __future__ import annotations

from collections import OrderedDict

from elworkers.importer.store import Store

NAME = "_SUCCESS"
"""Name of the empty file in a folder that is complete, as Hadoop's jobs write it."""

_MOST_REMEMBERED = 10_000


class SuccessMarkers:
    """The markers in the folders of hours; threads may share them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._missing: set[tuple[str, str]] = set()

    def refresh(self) -> None:
        """Ask the store again about hours that were not marked when it was asked last."""
        self._missing.clear()

    def has(self, schema: str, hour: str) -> bool:
        """Return whether an hour is marked; the store is asked once for each unmarked hour until `refresh`.

        Raises:
            RetryableError: the store does not answer.
        """
        if (schema, hour) in self._made:
            return True
        if (schema, hour) in self._missing:
            return False
        exists = self._store.exists(f"{schema}/{hour}/{NAME}")
        if exists:
            self._remember(schema, hour)
        else:
            self._missing.add((schema, hour))
        return exists

    def make(self, schema: str, hour: str) -> None:
        """Mark an hour, also one that is marked already.

        Raises:
            RetryableError: the store does not answer.
        """
        if not self.has(schema, hour):
            self._store.touch(f"{schema}/{hour}/{NAME}")
            self._remember(schema, hour)

    def _remember(self, schema: str, hour: str) -> None:
        self._made[schema, hour] = None
        self._missing.discard((schema, hour))
        if len(self._made) > _MOST_REMEMBERED:
            self._made.popitem(last=False)

    def forget(self) -> None:
        """Ask the store again: somebody may have removed a mark."""
        self._made.clear()
        self._missing.clear()
