# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Keeps pykafka from moving partitions until the loop has committed what it has taken of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import structlog

log = structlog.get_logger(__name__)


class RebalanceGuard:
    """Has the thread that moves partitions wait for the one that takes messages.

    Args:
        wait_s: how long at most, so that the group does not give this member up.
        topic: its name, for the log.

    Attributes:
        uncommitted: whether messages were taken and not committed since.
        lost_uncommitted: whether partitions have moved while some were.
    """

    def __init__(self, wait_s: float, topic: str) -> None:
        self._wait_s = wait_s
        self._topic = topic
        self._rebalancing = threading.Event()
        self._committed = threading.Event()
        self.uncommitted = self.lost_uncommitted = False

    @property
    def is_rebalancing(self) -> bool:
        """Whether partitions are about to move."""
        return self._rebalancing.is_set()

    @contextlib.contextmanager
    def hold(self, lock: contextlib.AbstractContextManager[object]) -> Iterator[None]:
        """Wait until everything taken is committed; partitions may move while this is entered.

        Args:
            lock: held by whoever takes messages.
        """
        with lock:
            self._committed.clear()
            self._rebalancing.set()
        try:
            if self.uncommitted and not self._committed.wait(self._wait_s):
                self.lost_uncommitted = True
                log.warning(
                    "rebalance goes on before everything taken was committed",
                    code="kafka_rebalance_before_commit",
                    topic=self._topic,
                )
            yield
        finally:
            self._rebalancing.clear()

    def committed(self) -> None:
        """Note that everything taken is committed."""
        self.uncommitted = False
        self._committed.set()

    def release(self) -> None:
        """Let partitions move without waiting."""
        self._committed.set()
