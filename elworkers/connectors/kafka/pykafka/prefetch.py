# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Fetches the next item in another thread while one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

_PREFETCH = 1
"""Number of items that wait to be taken."""

_CHECK_INTERVAL_S = 0.5

_T = TypeVar("_T")


def prefetched(items: Iterable[_T], cancelled: threading.Event) -> Generator[_T, None, None]:
    """Yield items that come from a thread of their own; what getting them raises is raised here, in their place.

    Args:
        items: iterated in that thread.
        cancelled: set when nobody takes items any longer.
    """
    results: queue.Queue[_T | BaseException | None] = queue.Queue(_PREFETCH)

    def fetch() -> None:
        last: BaseException | None = None
        try:
            for item in items:
                if not _put_unless_cancelled(results, item, cancelled):
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the items are awaited
            last = error
        _put_unless_cancelled(results, last, cancelled)

    thread = threading.Thread(target=fetch, name="fetch", daemon=True)
    thread.start()
    try:
        while (item := results.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        cancelled.set()
        thread.join()


def _put_unless_cancelled(results: queue.Queue[Any], item: Any, cancelled: threading.Event) -> bool:
    while not cancelled.is_set():
        try:
            results.put(item, timeout=_CHECK_INTERVAL_S)
        except queue.Full:
            continue
        return True
    return False
