# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses user agents into device, browser and operating system."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from elworkers.core.errors import InvalidEventError

LONGEST = 800
"""Characters; what is longer is no browser's (reference of 2016)."""

_FIELDS = (
    "device_family",
    "browser_family",
    "browser_major",
    "browser_minor",
    "os_family",
    "os_major",
    "os_minor",
    "wmf_app_version",
    "is_bot",
    "is_mediawiki",
)
_APP_VERSION = re.compile(r"^WikipediaApp/(\S+)")
_BOT = re.compile(
    r"\A(?:Java|curl|PHP|Ruby|\.NET|Python|Apache|Scrapy|PycURL|libwww|lwp-|Zend|wget|Wget|Twisted|Jakarta|LWP|MediaWiki"
    r"|User:|User_talk:|github|WikiDemo|node-fetch|axios/|undici|Dart/|HTTPie|GuzzleHttp|reqwest)"
    r"|bot|spider|crawler|WordPress|AppEngine|AppleDictionaryService|Python-urllib|python-requests"
    r"|Google-HTTP-Java-Client|[Ff]acebook|[Yy]ahoo|RockPeaks|http"
    r"|Bot\b|\bBOT\b|Go-http-client|ClaudeBot|GPTBot"
)
"""Of programs that fetch pages: what the original looks for, and what came later. Letters count as they are."""

_MEDIAWIKI = re.compile(r"mediawiki", re.IGNORECASE)


def parsed(text: str) -> dict[str, Any]:
    """Return the ten fields of a user agent, each None if it is not known.

    Raises:
        InvalidEventError: it is longer than `LONGEST` characters.
    """
    if len(text) > LONGEST:
        raise InvalidEventError(f"userAgent has {len(text)} characters; expected at most {LONGEST}")
    return _fields(text.encode()).copy()


def of_header(header: bytes) -> dict[str, Any]:
    """Return the same for a header as varnishkafka writes it, with or without quotes; nobody may change the result.

    Raises:
        ValueError: it may be too long, or is not UTF-8.
    """
    if len(header) > LONGEST:
        raise ValueError
    return _fields(header.strip(b'"'))


@lru_cache(maxsize=20_000)
def _fields(encoded: bytes) -> dict[str, Any]:
    # Imported here: its tables take a quarter of a second, and most formats do not ask for them.
    from ua_parser import parse

    text = encoded.decode()
    found = parse(text)
    browser, system, device = found.user_agent, found.os, found.device
    version = _APP_VERSION.match(text)
    return _shared(
        device.family if device else "Other",
        browser.family if browser else "Other",
        browser.major if browser else None,
        browser.minor if browser else None,
        system.family if system else "Other",
        system.major if system else None,
        system.minor if system else None,
        version[1] if version else "-",
        _is_bot(device.family if device else "Other", text),
        bool(_MEDIAWIKI.search(text)),
    )


def _is_bot(device: str, text: str) -> bool:
    # A device that is known is somebody's, whatever its name has in it (CUBOT).
    return device == "Spider" or (device == "Other" and _BOT.search(text) is not None)


@lru_cache(maxsize=20_000)
def _shared(*values: str | bool | None) -> dict[str, Any]:
    # Many user agents differ only in what is no field here. One by one, 20,000 would hold 20 MiB.
    return dict(zip(_FIELDS, values, strict=True))


def cache_info() -> tuple[int, int]:
    """Return hits and misses of the cache so far."""
    info = _fields.cache_info()
    return info.hits, info.misses
