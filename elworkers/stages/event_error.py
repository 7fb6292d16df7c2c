"""A record that failed and the reason come in; the EventError that tells of it goes out."""

from __future__ import annotations

import hashlib
import re
import socket
from typing import Any
from urllib.parse import unquote

import orjson

from elworkers.contracts import Event, Record
from elworkers.errors import InvalidEventError
from elworkers.stages.capsule import uuid5_hex
from elworkers.stages.jsontext import to_bytes

SCHEMA = ("EventError", 14035058)
LONGEST_RAW = 65_536
"""Characters of the raw event that are kept; brokers take no message of more than a megabyte."""

_LONGEST_MESSAGE = 1_000
_RAW_SCHEMA = re.compile(r'"schema"\s*:\s*"([^"]{1,63})"')
_RAW_REVISION = re.compile(r'"revision"\s*:\s*"?(-?\d{1,18})')
_HOST = socket.gethostname()


def event_error(record: Record, error: InvalidEventError, event: Event | None) -> Record:
    """An EventError as a record of its own, with `valid` False and the failed one's origin.

    Args:
        record: as it was received.
        error: why it failed.
        event: its capsule, as far as it could be parsed.
    """
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
            "schema": schema,
            "revision": revision,
        },
        "schema": SCHEMA[0],
        "revision": SCHEMA[1],
        "wiki": _text(event.get("wiki")) or "unknown",
        "recvFrom": _text(event.get("recvFrom")) or _HOST,
        "uuid": _uuid(record),
        "timestamp": _seconds(event.get("timestamp"), record.timestamp_ms),
    }
    if type(event.get("seqId")) is int:
        capsule["seqId"] = event["seqId"]
    if _text(event.get("webHost")):
        capsule["webHost"] = event["webHost"]
    return Record(
        _encoded(capsule),
        event=capsule,
        valid=False,
        origin=record.origin,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
    )


def _encoded(capsule: Event) -> bytes:
    try:
        return orjson.dumps(capsule)
    except TypeError:
        # An integer beyond 64 bits.
        return to_bytes(capsule)


def _uuid(record: Record) -> str:
    # By place, so that a repeated read makes the same one.
    if record.origin is not None:
        return uuid5_hex(f"kafka://{record.origin.topic}/{record.origin.partition}/{record.offset}")
    return uuid5_hex(f"raw:{hashlib.sha256(record.value).hexdigest()}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: Any, arrived_ms: int) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11:
        return value
    return arrived_ms // 1000


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
