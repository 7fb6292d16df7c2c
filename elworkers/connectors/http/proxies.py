# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds a client's address behind trusted proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence

from elworkers.config.types import Network

UNKNOWN = "-"
_MOST_HOPS = 64
_MOST_PARTS = 16
_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_BRACKETED = re.compile(rf"\[([^\[\]]*)\]{_PORT}")
_WITH_PORT = re.compile(rf"([^:]*){_PORT}")
# RFC 7239, section 6: a proxy that does not know its client, or does not tell.
_HIDDEN = re.compile(rf"(?:unknown|_[A-Za-z0-9._-]+){_PORT}", re.IGNORECASE)
_PAIR = re.compile(r'\s*([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s";]*)\s*(?:;|$)')
_ESCAPED = re.compile(r"\\(.)")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(
    peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network], forwarded: Sequence[str] = ()
) -> str:
    """Return the client's address: the last one that no trusted proxy has.

    Each proxy adds the address that it sees at the end, and what stands before that anybody may have written
    (RFC 7239, section 8.1). Ports and zones are left out.

    Args:
        peer: the other end of the connection.
        forwarded_for: the values of X-Forwarded-For, in order.
        trusted: the proxies that are believed.
        forwarded: the values of Forwarded, which are read where there is no X-Forwarded-For. A proxy that knows only
            the older header passes on the newer one as its client wrote it.

    Returns:
        The address; `UNKNOWN` where a trusted proxy says that it does not know it or keeps it to itself. Of a
        proxy that says neither, its own.
    """
    found = _address(peer)
    old = any(value.strip() for value in forwarded_for)
    hops = _from_the_last(forwarded_for if old else forwarded, str if old else _for)
    for _ in range(_MOST_HOPS):
        if not any(found in network for network in trusted):
            break
        try:
            hop = next(hops)
            if _HIDDEN.fullmatch(hop):
                return UNKNOWN
            found = _node(hop)
        except (StopIteration, ValueError):
            break
    return str(found)


def _from_the_last(values: Sequence[str], node: Callable[[str], str]) -> Iterator[str]:
    """Yield the node of each element of a list, the last first: a quote that a client left open hides no later one."""
    for value in reversed(values):
        rest = value
        while rest:
            rest, _, element = rest.rpartition(",")
            for _ in range(_MOST_PARTS):
                if not rest or _is_balanced(element):
                    break
                rest, _, part = rest.rpartition(",")
                element = f"{part},{element}"
            if element.strip():
                yield _unquoted(node(element.strip()))


def _is_balanced(element: str) -> bool:
    return _ESCAPED.sub("", element).count('"') % 2 == 0


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    return text.strip()


def _for(element: str) -> str:
    """Return the node of one element of Forwarded (RFC 7239, section 4)."""
    found: list[str] = []
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            raise ValueError("no pairs")
        if pair[1].lower() == "for":
            found.append(pair[2])
        at = pair.end()
    if len(found) > 1:
        raise ValueError("two nodes")
    return found[0] if found else "unknown"


def _node(text: str) -> _Address:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        return _address(bracketed[1])
    with_port = _WITH_PORT.fullmatch(text)
    return _address(text if with_port is None else with_port[1])


def _address(text: str) -> _Address:
    # A zone says something on the host that wrote it alone.
    address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    # A socket that listens on IPv6 as well shows an IPv4 peer as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address
