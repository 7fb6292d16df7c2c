# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes the EventError of a record that failed."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import time
from typing import Any
from urllib.parse import unquote

import orjson
import structlog

from elworkers.core.contracts import FILES, Event, Record, RejectedRecord
from elworkers.core.errors import InvalidEventError
from elworkers.events.capsule import uuid5_hex
from elworkers.events.json_text import read_object, to_bytes
from elworkers.events.schema_names import LONGEST

SCHEMA = ("EventError", 14035058)
LONGEST_RAW = 65_536
"""Characters of the raw event that an EventError has; brokers take no message of more than a megabyte."""

_LONGEST_MESSAGE = 900
_LONGEST_TEXT = 255
_CUT = re.compile(r" \(rawEvent is cut to \d+ characters\)\Z")
_RAW_SCHEMA = re.compile(r'"schema"\s*:\s*"([^"]{1,63})"')
_RAW_REVISION = re.compile(r'"revision"\s*:\s*"?(-?\d{1,18})')
_HOST = socket.gethostname()

log = structlog.get_logger(__name__)


def rejected_event_error(rejected: RejectedRecord) -> Record | None:
    """Return the EventError of a record that a store rejected, with its message; None for one that is an EventError."""
    record, event = rejected.record, rejected.record.event
    # The event may be forgotten, in part or altogether; the value of a raw line may be none.
    with contextlib.suppress(InvalidEventError):
        event = read_object(record.value)
    if not record.valid or (event is not None and event.get("schema") == SCHEMA[0]):
        return None
    return event_error(record, InvalidEventError(rejected.message, rejected.code), event)


def event_error_of_any(record: Record, error: InvalidEventError, event: Event | None) -> Record:
    """Return `event_error`, or one without the event's fields for a record that makes `event_error` raise."""
    try:
        return event_error(record, error, event)
    except Exception:
        # Not even a bug in here may hold up the others.
        log.exception(
            "a record meets a bug; its EventError tells less", code="record_internal_error", cannot="make an EventError"
        )
        bare = Record(b"", origin=record.origin, offset=record.offset, key=record.key)
        return event_error(bare, error, None)


def event_error(record: Record, error: InvalidEventError, event: Event | None) -> Record:
    """Return an EventError as a record of its own: with `valid` False, and with the failed one's origin and key.

    Its time is now: the failed event's own may be any, and a broker may reject it.

    Args:
        record: as it was received.
        error: why it failed.
        event: its capsule, as far as it could be parsed.
    """
    now_ms = int(time.time() * 1000)
    raw = record.value[: 4 * LONGEST_RAW].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    event = event if event is not None else {}
    schema, revision = _named(event, raw)
    message = error.message.encode("utf-8", "replace").decode()[:_LONGEST_MESSAGE]
    if len(raw) > LONGEST_RAW:
        message += f" (rawEvent is cut to {LONGEST_RAW} characters)"
    capsule: Event = {
        "event": {
            "rawEvent": raw[:LONGEST_RAW],
            "message": message,
            "code": error.code,
            "schema": _cut(schema, LONGEST),
            "revision": revision if -(2**63) <= revision < 2**63 else -1,
        },
        "schema": SCHEMA[0],
        "revision": SCHEMA[1],
        "wiki": _text(event.get("wiki")) or "unknown",
        "recvFrom": _text(event.get("recvFrom")) or _HOST,
        "uuid": _uuid(record),
        "timestamp": now_ms // 1000,
    }
    if type(event.get("seqId")) is int:
        capsule["seqId"] = event["seqId"]
    if _text(event.get("webHost")):
        capsule["webHost"] = _text(event["webHost"])
    return _made(capsule, record, now_ms)


def shortened(record: Record) -> Record | None:
    """Return the same EventError with a quarter of its raw event, for stores that take no larger one; None if none is.

    Args:
        record: made by `event_error`; its value is what is looked at.
    """
    capsule = read_object(record.value)
    details = capsule["event"]
    raw = details["rawEvent"]
    if not raw:
        return None
    details["rawEvent"] = raw[: len(raw) // 4]
    message = _CUT.sub("", details["message"])
    details["message"] = f"{message} (rawEvent is cut to {len(raw) // 4} characters)"
    return _made(capsule, record, record.timestamp_ms)


def _made(capsule: Event, record: Record, now_ms: int) -> Record:
    return Record(
        _encoded(capsule),
        event=capsule,
        valid=False,
        origin=record.origin,
        offset=record.offset,
        timestamp_ms=now_ms,
        key=record.key,
    )


def _encoded(capsule: Event) -> bytes:
    try:
        return orjson.dumps(capsule)
    except TypeError:
        # An integer beyond 64 bits.
        return to_bytes(capsule)


def _uuid(record: Record) -> str:
    if record.origin is not None and record.origin.cluster == FILES:
        # Not by its path: logrotate gives a name to another file, and a file another name.
        return uuid5_hex(f"line:{record.offset}:{hashlib.sha256(record.value).hexdigest()}")
    # By offset, so that a repeated read makes the same one; a topic that was made anew has the same offsets again.
    if record.origin is not None:
        topic = record.origin.topic + (f"@{record.origin.topic_id[:8]}" if record.origin.topic_id else "")
        return uuid5_hex(f"kafka://{topic}/{record.origin.partition}/{record.offset}")
    return uuid5_hex(f"raw:{hashlib.sha256(record.value).hexdigest()}")


def _text(value: Any) -> str:
    return _cut(value, _LONGEST_TEXT) if isinstance(value, str) else ""


def _cut(text: str, most: int) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _named(event: Event, raw: str) -> tuple[str, int]:
    schema, revision = event.get("schema"), event.get("revision")
    if isinstance(schema, str) and type(revision) is int:
        return schema, revision
    text = unquote(raw[:LONGEST_RAW], errors="replace") if "%22" in raw else raw
    if not isinstance(schema, str):
        found = _last(_RAW_SCHEMA, text)
        schema = found if found is not None else "unknown"
    if type(revision) is not int:
        found = _last(_RAW_REVISION, text)
        revision = int(found) if found is not None else -1
    return schema, revision


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    # The capsule's own fields follow the event's in what clients send.
    found: list[str] = pattern.findall(text)
    return found[-1] if found else None
