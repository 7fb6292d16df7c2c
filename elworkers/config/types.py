# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Converts the text of option values; a converter raises ValueError with what was expected."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def boolean(text: str) -> bool:
    """Return `True` or `False`, as Python and the instance files of 2016 write them."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise ValueError("True or False")
    return known[text.lower()]


def integer(at_least: int) -> Callable[[str], int]:
    """Return a converter of integers of at least `at_least`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or int(text) < at_least:
            raise ValueError(f"a whole number of at least {at_least}")
        return int(text)

    return read


def seconds(text: str) -> float:
    """Return a positive number of seconds."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise ValueError("a positive number of seconds")
    return float(text)


def non_negative(text: str) -> float:
    """Return a number of seconds, perhaps 0."""
    try:
        return 0.0 if re.fullmatch(r"0+(\.0+)?", text) else seconds(text)
    except ValueError:
        raise ValueError("a number of seconds, 0 or more") from None


def minutes(text: str) -> float:
    """Return a positive number of minutes."""
    try:
        return seconds(text)
    except ValueError:
        raise ValueError("a positive number of minutes") from None


def choice(*known: str) -> Callable[[str], str]:
    """Return a converter of one of the texts `known`, in lower case."""

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text.lower()

    return read


def pattern(text: str) -> str:
    """Return a regular expression of Python's `re`."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


def offset_reset(text: str) -> int:
    """Return where a group without offsets starts, as pykafka's -1 (latest) or -2 (earliest)."""
    known = {"-1": -1, "latest": -1, "largest": -1, "-2": -2, "earliest": -2, "smallest": -2}
    if text.lower() not in known:
        raise ValueError("earliest, latest, -2 or -1")
    return known[text.lower()]


def group(text: str) -> str:
    """Return a consumer group's name; pykafka sends it as ASCII."""
    if not re.fullmatch(r"[!-~]{1,249}", text):
        joined = "-".join(text.split())
        like = f", as {joined}" if re.fullmatch(r"[!-~]{1,249}", joined) else ""
        raise ValueError(f"a name of 1 to 249 ASCII characters without blanks{like}")
    return text


def zookeeper(text: str) -> str:
    """Return ZooKeeper's servers, separated by commas, with an optional chroot behind the last one."""
    if not re.fullmatch(r"(?:[^\s,/]+,)*[^\s,/]+(?:/[^\s,]*)?", text) or "//" in text:
        raise ValueError("HOST:PORT,HOST:PORT/CHROOT, the chroot only once at the end")
    return text


def statsd_prefix(text: str) -> str:
    """Return a prefix of metric names, whose levels may hold `{host}`."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_-]|\{host\})+(?:\.(?:[A-Za-z0-9_-]|\{host\})+)*", text):
        raise ValueError("letters, digits, '_', '-' and {host}, with single dots between, as eventlogging.{host}")
    return text


def constant(value: bool, why: str) -> Callable[[str], bool]:
    """Return a converter of booleans that accepts only one value."""

    def read(text: str) -> bool:
        if boolean(text) is not value:
            raise ValueError(f"{value}: {why}")
        return value

    return read


def unsupported(_text: str) -> Any:
    """Return a keyword of BalancedConsumer whose value is a Python object."""
    raise ValueError("nothing: its value is a Python object, which a URI cannot hold")


def file(text: str) -> Path:
    """Return a file that this process can read."""
    if not (text.startswith("/") and Path(text).is_file() and os.access(text, os.R_OK)):
        raise ValueError("the absolute path of a readable file")
    return Path(text)


def directory(text: str) -> Path | None:
    """Return a folder's path, or None for an empty text."""
    if text and not text.startswith("/"):
        raise ValueError("the absolute path of a folder")
    return Path(text) if text else None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Return addresses or networks, which commas separate."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"addresses or networks, as 127.0.0.1,10.0.0.0/8 ({error})") from None
