# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Capsules: whose uuid is believed, times in milliseconds, and what PHP writes for an empty object."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from elworkers.events.capsule import add_defaults, uuid5_hex
from elworkers.events.timestamps import unix_seconds_of

DASHED = "550e8400-e29b-41d4-a716-446655440000"
PLAIN = DASHED.replace("-", "")


def completed(given: Any, **options: bool) -> Any:
    event: dict[str, Any] = {"recvFrom": "h", "seqId": 5, "timestamp": 1_600_000_000, "uuid": given}
    add_defaults(event, 0, **options)
    return event["uuid"]


@pytest.mark.parametrize("given", [PLAIN, DASHED, DASHED.upper()])
def test_a_clients_uuid_stays_its_own_but_is_nobody_elses(given: str) -> None:
    assert completed(given, from_client=True) == uuid.uuid5(uuid.NAMESPACE_URL, f"client:{given}").hex


@pytest.mark.parametrize("given", [None, "", "x", 5, [], f"{PLAIN}0", f"{DASHED[:-1]}\u0665", "undefined"])
def test_what_a_client_calls_its_uuid_and_is_none_is_made_anew(given: Any) -> None:
    wanted = uuid5_hex("event://h/?seqId=5&dt=2020-09-13T12:26:40")
    assert completed(given, from_client=True) == wanted
    assert completed(given) == wanted


def test_a_servers_uuid_is_believed() -> None:
    assert completed(PLAIN) == PLAIN


def test_milliseconds_and_seconds_are_the_same_time() -> None:
    events: list[dict[str, Any]] = [
        {"recvFrom": "h", "seqId": 5, "timestamp": at} for at in (1358791834, 1358791834000)
    ]
    for event in events:
        add_defaults(event, 0)
    assert events[0]["uuid"] == events[1]["uuid"]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0),
        (10**12, 10**12),
        (10**12 + 1, (10**12 + 1) / 1000),
        (1358791834912, 1358791834.912),
        (-2e12, -2e9),
        (1.5, 1.5),
    ],
)
def test_what_is_beyond_a_million_million_is_milliseconds(given: float, seconds: float) -> None:
    assert unix_seconds_of(given) == seconds
