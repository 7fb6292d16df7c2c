# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads a capsule's `timestamp` as Unix seconds, the same for uuid, row and the importer's hour."""

from __future__ import annotations

_LARGEST_SECONDS = 10**12
"""Seconds beyond this are of the year 33658; clients that send such a number count in milliseconds."""


def unix_seconds_of(timestamp: float) -> float:
    """Return Unix seconds; a number beyond ±10^12 is taken for milliseconds.

    Args:
        timestamp: an integer of any size, or a double (infinities and NaN stay what they are).

    Returns:
        An integer where the seconds are whole and the timestamp was one.
    """
    if not (timestamp > _LARGEST_SECONDS or timestamp < -_LARGEST_SECONDS):
        return timestamp
    if isinstance(timestamp, int):
        seconds, rest = divmod(timestamp, 1000)
        # A quotient of integers beyond 1,024 bits is no double.
        return seconds if rest == 0 or abs(seconds) > _LARGEST_SECONDS else timestamp / 1000
    return timestamp / 1000
