# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Remembers which requests were handed on, so that the next process that reads Varnish's log skips them."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import structlog

from elworkers.core.permissions import DATA_FILE

_MOST = 50_000
"""Requests that are remembered: more than a worker handles while the next one already reads."""

log = structlog.get_logger(__name__)


class HandledRequests:
    """The requests that this process has handed over last, and those of the process whose place it takes.

    Args:
        path: where they are left.
        instance: which Varnish numbers them; another one's numbers mean other requests.
    """

    def __init__(self, path: Path, instance: str) -> None:
        self._path = path
        self._instance = instance.encode()
        self._mine: deque[bytes] = deque(maxlen=_MOST)
        self._before: frozenset[bytes] = frozenset()

    def add(self, number: bytes) -> None:
        """Note that a request has been handed over."""
        self._mine.append(number)

    def __contains__(self, number: bytes) -> bool:
        """Return whether the process before has handed it over."""
        return number in self._before

    def forget_before(self) -> None:
        """Forget the requests of the process before; it cannot have had what comes from now on."""
        self._before = frozenset()

    def load(self, process: int) -> bool:
        """Load the requests of a process that has ended; return whether it has saved them."""
        try:
            head, *numbers = self._path.read_bytes().split(b"\n")
        except OSError:
            return False
        left_by, _, instance = head.partition(b" ")
        if left_by != b"%d" % process:
            return False
        self._before = frozenset(numbers if instance == self._instance else ())
        return True

    def save(self) -> None:
        """Save the requests for the next process; what fails is logged, never raised."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, DATA_FILE)
            with os.fdopen(file, "wb") as left:
                left.write(b"\n".join((b"%d %b" % (os.getpid(), self._instance), *self._mine)))
        except OSError as error:
            log.warning(
                "what the next worker is to pass over cannot be left",
                code="varnish_handover_failed",
                path=str(self._path),
                reason=str(error),
            )
