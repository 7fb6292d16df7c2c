"""What a client may ask of an HTTP door, and what becomes of a request that asks more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server.

    Attributes:
        url_bytes: of a request line.
        body_bytes: of a POST.
        events: in a POST.
        connections: at a time.
        quiet_s: without a whole request, or for a body.
    """

    url_bytes: int = 16_000
    body_bytes: int = 256 * 1024
    events: int = 1_000
    connections: int = 1_000
    quiet_s: float = 30.0


class RefusedError(Exception):
    """The answer to a request that is not taken."""

    def __init__(self, status: int, words: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.headers = dict(headers or {})
