# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Spaces out tries after failures, and logs now and then why they go on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import structlog

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0
_LOG_AGAIN_AFTER_S = 60.0
_NO_REASON = "no reason given"

log = structlog.get_logger(__name__)


class Backoff:
    """Growing, jittered waits between tries, with one log line a minute while the reason stays the same.

    Args:
        report: is given the reason at each failure, and an empty one when it works again (`StateReporter.trouble`).
    """

    def __init__(self, report: Callable[[str], object] = lambda _reason: None) -> None:
        self._report = report
        self._began: float | None = None
        self._next_s = _FIRST_BACKOFF_S
        self._logged: tuple[str, float] = ("", 0.0)

    @property
    def failing(self) -> bool:
        """Whether it has not worked since the last failure."""
        return self._began is not None

    def failed(self, reason: str) -> float:
        """Return the seconds to wait before the next try."""
        pause = self._next_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
        self._next_s = min(self._next_s * 2, _LONGEST_BACKOFF_S)
        now = time.monotonic()
        if self._began is None:
            self._began = now
        # An empty one would mean that it works again.
        self._report(reason.strip() or _NO_REASON)
        if reason != self._logged[0] or now - self._logged[1] > _LOG_AGAIN_AFTER_S:
            log.warning("waiting to try again", code="backoff_waiting", reason=reason, seconds=round(pause, 1))
            self._logged = (reason, now)
        return pause

    def worked(self) -> None:
        """Start over with short waits; where there was a failure, the log says how long it lasted."""
        if self._began is None:
            return
        log.info(
            "works again",
            code="backoff_ended",
            lasted_s=round(time.monotonic() - self._began, 1),
            reason=self._logged[0],
        )
        self._report("")
        self._began, self._next_s, self._logged = None, _FIRST_BACKOFF_S, ("", 0.0)
