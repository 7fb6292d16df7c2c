"""A connection's address and its X-Forwarded-For come in; the client's address goes out."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from elworkers.kinds import Network


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Who has sent a request: the last address that no trusted proxy has.

    Each proxy adds the address that it sees at the end, and what stands before that anybody may have written
    (RFC 7239, section 8.1).

    Args:
        peer: the other end of the connection.
        forwarded_for: the values of X-Forwarded-For, in order.
        trusted: the proxies that are believed.
    """
    found = str(_address(peer))
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    while hops and _is_in(found, trusted):
        try:
            found = str(_address(hops.pop()))
        except ValueError:
            break
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A socket that listens on IPv6 as well shows an IPv4 peer as ::ffff:192.0.2.1.
    address = ipaddress.ip_address(text.strip("[]"))
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(text: str, trusted: Sequence[Network]) -> bool:
    address = _address(text)
    return any(address in network for network in trusted)
