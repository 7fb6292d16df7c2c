# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Holds back the counts of a batch until it is committed."""

from __future__ import annotations

from collections.abc import Callable

from elworkers.core.contracts import Metrics


class _Pending:
    __slots__ = ("add_total", "value")

    def __init__(self, add_total: Callable[[int], None]) -> None:
        self.add_total = add_total
        self.value = 0

    def add(self, value: int) -> None:
        self.value += value


class BatchMetrics:
    """Holds counts back until their batch is done with; implements `contracts.Metrics`.

    A batch that is read again is counted again, so that what was counted of it before has to be forgotten.

    Args:
        metrics: gets the counts, and at once what is set aside.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pending: dict[tuple[str, tuple[tuple[str, str], ...]], _Pending] = {}

    def count(self, name: str, value: int = 1, **labels: str) -> None:
        """See `contracts.Metrics.count`."""
        self.counter(name, **labels)(value)

    def counter(self, name: str, **labels: str) -> Callable[[int], None]:
        """See `contracts.Metrics.counter`."""
        key = (name, tuple(sorted(labels.items())))
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(self._metrics.counter(name, **labels))
        return pending.add

    def total(self, name: str) -> int:
        """See `contracts.Metrics.total`; with what is held back."""
        return self._metrics.total(name) + sum(
            one.value for (counter, _), one in self._pending.items() if counter == name
        )

    def set_aside(self, what: str, why: str, since: float | None = None) -> None:
        """See `contracts.Metrics.set_aside`."""
        self._metrics.set_aside(what, why, since)

    def resumed(self, what: str) -> None:
        """See `contracts.Metrics.resumed`."""
        self._metrics.resumed(what)

    def commit(self) -> None:
        """Count what was held back."""
        for pending in self._pending.values():
            if pending.value:
                pending.add_total(pending.value)
                pending.value = 0

    def drop(self) -> None:
        """Forget what was held back: its batch will be read again."""
        for pending in self._pending.values():
            pending.value = 0

    def remark(self, what: str, text: str) -> None:
        """See `contracts.Metrics.remark`."""
        self._metrics.remark(what, text)
