"""A capsule as its line had it comes in; one with a uuid and without what only the sender needed goes out."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from typing import Any

from elworkers.contracts import Event

_URL_NAMESPACE = uuid.NAMESPACE_URL.bytes
_UUID = re.compile(r"[0-9a-f]{32}")
_DROPPED = ("clientValidated", "isTruncated")


def uuid5_hex(name: str) -> str:
    """UUID version 5 (RFC 9562) of a name in the URL namespace, as 32 hex digits."""
    digest = bytearray(hashlib.sha1(_URL_NAMESPACE + name.encode("utf-8", "replace"), usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return digest[:16].hex()


def complete(event: Event, arrived_ms: int) -> None:
    """Remove `clientValidated` and `isTruncated`, and add `uuid`; where nothing says when it was, add `timestamp` too.

    The uuid is that of `event://<recvFrom>/?seqId=<seqId>&dt=<time>` with the time of `dt`, or of `timestamp`. One that
    is there already, and is one, is kept: whoever sends an event twice must be able to say so.

    Args:
        event: changed in place.
        arrived_ms: Kafka's time of the line in ms since the epoch.
    """
    for name in _DROPPED:
        event.pop(name, None)
    if "timestamp" not in event and "dt" not in event:
        event["timestamp"] = arrived_ms // 1000 or int(time.time())
    given = event.get("uuid")
    if not (isinstance(given, str) and _UUID.fullmatch(given)):
        moment = iso_seconds(event)
        event["uuid"] = uuid5_hex(f"event://{event.get('recvFrom')}/?seqId={event.get('seqId')}&dt={moment}")


def iso_seconds(event: Event) -> str:
    """The time of a capsule as `YYYY-MM-DDTHH:MM:SS`; from `dt`, else from `timestamp`; empty where neither is one."""
    dt = event.get("dt")
    if isinstance(dt, str):
        return dt[:19]
    return iso_from_unix(event.get("timestamp"))


def iso_from_unix(seconds: Any) -> str:
    """Unix seconds as `YYYY-MM-DDTHH:MM:SS` (UTC); empty where they are none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return ""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""
