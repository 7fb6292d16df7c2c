# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Limits what an HTTP client may send, and says how a request beyond that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SERVER_NAME = "elworkers"
RETRY_AFTER_S = 30
LONGEST_HEAD = 64 * 1024
"""Largest number of bytes of all fields of a request."""


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server.

    Attributes:
        url_bytes: of a request line.
        body_bytes: of a POST.
        events: in a POST.
        connections: at a time.
        quiet_s: without a whole request, or for a body.
        held_bytes: of all requests that are not answered.
    """

    url_bytes: int = 16_000
    body_bytes: int = 256 * 1024
    events: int = 1_000
    connections: int = 1_000
    quiet_s: float = 30.0
    held_bytes: int = 32 * 1024 * 1024


class RefusedError(Exception):
    """A request is refused, with this status and message."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def retry_later(message: str) -> RefusedError:
    """Return the error that asks a client to try again later."""
    return RefusedError(503, f"{message}; try again", {"Retry-After": str(RETRY_AFTER_S)})
