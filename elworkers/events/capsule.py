# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Completes a capsule: gives it a uuid, and removes what only the sender needed."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from functools import lru_cache
from typing import Any

from elworkers.core.contracts import Event
from elworkers.events.timestamps import unix_seconds_of

_URL_NAMESPACE = hashlib.sha1(uuid.NAMESPACE_URL.bytes, usedforsecurity=False)
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_UUID = re.compile(r"[0-9a-f]{32}")
_CLIENTS_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?)(?:[0-9A-Fa-f]{4}\1){3}[0-9A-Fa-f]{12}", re.ASCII)


def uuid5_hex(name: str) -> str:
    """Return the UUID version 5 (RFC 9562) of a name in the URL namespace, as 32 hex digits."""
    try:
        text = name.encode()
    except UnicodeEncodeError:
        text = name.encode("utf-8", "replace")
    sha1 = _URL_NAMESPACE.copy()
    sha1.update(text)
    digits = sha1.hexdigest()
    return f"{digits[:12]}5{digits[13:16]}{_VARIANT[digits[16]]}{digits[17:32]}"


def add_defaults(event: Event, arrived_ms: int, from_client: bool = False) -> None:
    """Remove `clientValidated` and `isTruncated`, and add `uuid`; without any time, add `timestamp` too.

    The uuid is that of `event://<recvFrom>/?seqId=<seqId>&dt=<time>` with the time of `dt`, or of `timestamp`. One that
    is there already, and is one, is kept: a sender that repeats an event must be able to say so. One that a client on
    the Internet sends becomes that of `client:<it>`: its repeats stay repeats, but nobody can take the uuid of another.

    Args:
        event: changed in place.
        arrived_ms: Kafka's time of the line in ms since the epoch.
        from_client: whether anybody at all may have written the capsule.
    """
    if "clientValidated" in event:
        del event["clientValidated"]
    if "isTruncated" in event:
        del event["isTruncated"]
    timestamp = event.get("timestamp")
    if type(timestamp) is int and "dt" not in event:
        time_text = _iso(timestamp)
    else:
        if timestamp is None and "timestamp" not in event and "dt" not in event:
            event["timestamp"] = arrived_ms // 1000 or int(time.time())
        time_text = iso_seconds(event)
    given = event.get("uuid")
    if isinstance(given, str):
        if not from_client and _UUID.fullmatch(given):
            return
        if from_client and _CLIENTS_UUID.fullmatch(given):
            event["uuid"] = uuid5_hex(f"client:{given}")
            return
    event["uuid"] = uuid5_hex(f"event://{event.get('recvFrom')}/?seqId={event.get('seqId')}&dt={time_text}")


def iso_seconds(event: Event) -> str:
    """Return a capsule's time as `YYYY-MM-DDTHH:MM:SS`, of `dt`, else of `timestamp`; empty if neither has one."""
    dt = event.get("dt")
    if isinstance(dt, str):
        return dt[:19]
    return iso_from_unix(event.get("timestamp"))


def iso_from_unix(timestamp: Any) -> str:
    """Return a `timestamp` (`unix_seconds_of`) as `YYYY-MM-DDTHH:MM:SS` (UTC); empty where it is none."""
    if type(timestamp) is int:
        return _iso(timestamp)
    return _iso.__wrapped__(timestamp) if type(timestamp) is float else ""


def correct_empty(event: Event) -> None:
    """Make an empty object of an empty list in `event`: PHP writes both as `[]`."""
    if event.get("event") == []:
        event["event"] = {}


@lru_cache(maxsize=4_096)
def _iso(timestamp: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_seconds_of(timestamp)))
    except (OverflowError, ValueError, OSError):
        return ""
