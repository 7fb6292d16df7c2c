# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Remembers for a while which schemas are missing or invalid, and why."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import structlog

from elworkers.core.contracts import Metrics
from elworkers.core.errors import InvalidEventError, InvalidSchemaError

_Error = TypeVar("_Error", bound=InvalidEventError)

Key = tuple[str, int]
"""Name and revision."""

_MOST = 4_096
"""Schemas that are remembered; clients invent names and revisions. Beyond these, the oldest is looked up again."""

_FORGET_AFTER = 10
"""Multiples of `for_s` after which a schema that no event named is no longer reported as set aside."""

log = structlog.get_logger(__name__)


class BadSchemas:
    """What is known of schemas that cannot be used.

    Args:
        for_s: seconds after which one is looked at again.
        clock: seconds.
        metrics: where schemas that are set aside are reported.
    """

    def __init__(self, for_s: float, clock: Callable[[], float], metrics: Metrics | None) -> None:
        self._for_s = for_s
        self._clock = clock
        self._metrics = metrics
        # No errors: an error that was raised holds its frames, and with them the batch that it came up in.
        self._found: OrderedDict[Key, tuple[float, Callable[[], InvalidEventError]]] = OrderedDict()
        self._logged: OrderedDict[Key, tuple[float, str]] = OrderedDict()

    def raise_if_bad(self, key: Key) -> None:
        """Raise again what was found not long ago.

        Raises:
            InvalidEventError: there is no such schema.
            InvalidSchemaError: it is itself invalid.
        """
        found = self._found.get(key)
        if found is not None and self._clock() < found[0]:
            raise found[1]()

    def unknown(self, key: Key, why: str) -> InvalidEventError:
        """Remember that there is no such schema, and return the error of its events."""
        self._resume(key)
        return self._remember(key, lambda: InvalidEventError(why, "validation"))

    def invalid(self, key: Key, why: str) -> InvalidSchemaError:
        """Remember that a schema cannot be used, log it once, and return the error of its events."""
        error = self._remember(key, lambda: InvalidSchemaError(why))
        if self._logged.get(key, (0.0, ""))[1] != why:
            self._log(key, why)
        self._logged[key] = (self._clock(), why)
        self._logged.move_to_end(key)
        if len(self._logged) > _MOST:
            self._resume(next(iter(self._logged)))
        return error

    def good(self, key: Key) -> None:
        """Note that a schema can be used."""
        self._found.pop(key, None)
        if self._resume(key):
            log.info("schema is used again", code="schema_usable", schema=key[0], revision=key[1])

    def _remember(self, key: Key, error: Callable[[], _Error]) -> _Error:
        self._found[key] = (self._clock() + self._for_s, error)
        self._found.move_to_end(key)
        if len(self._found) > _MOST:
            self._found.popitem(last=False)
        return error()

    def expire(self) -> None:
        """Forget schemas that no event has named in a long while; they may be good or gone by now."""
        if not self._logged:
            return
        since = self._clock() - _FORGET_AFTER * self._for_s
        for key in [key for key, (when, _) in self._logged.items() if when < since]:
            self._resume(key)

    def _log(self, key: Key, why: str) -> None:
        log.warning(
            "schema set aside: its events become EventErrors",
            code="schema_unusable",
            schema=key[0],
            revision=key[1],
            reason=why,
        )
        if self._metrics is not None:
            self._metrics.set_aside("schema {}/{}".format(*key), why)

    def _resume(self, key: Key) -> bool:
        if self._logged.pop(key, None) is None:
            return False
        if self._metrics is not None:
            self._metrics.resumed("schema {}/{}".format(*key))
        return True
