"""URIs come in as an instance file has them; schemes with typed, known options go out.

A URI is `scheme:[//authority][/path][?name=value&…]`. Only percent escapes are decoded in the query: `+` stays
`+`, because it is common in blacklist patterns (reference of 2016). Kafka's brokers may stand in the authority or,
as they did in 2016, in the path: `kafka:///k1:9092,k2:9092?topic=…`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from elworkers.errors import ConfigurationError
from elworkers.passwords import HIDDEN, SECRET_NAME, remember, shown

_NO_PORT = re.compile(r":(?!\d{0,5}(?:,|$))")


@dataclass(frozen=True, repr=False)
class Uri:
    """A URI taken apart; its text form never shows the password.

    Attributes:
        scheme: in lower case.
        hosts: each `host` or `host:port`; IPv6 addresses in brackets.
        path: decoded, with its leading slash; empty where the path held Kafka's brokers.
        user, password: decoded, or None.
        query: the options as written, decoded, in order.
    """

    scheme: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    user: str | None = None
    password: str | None = None
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        login = "" if self.user is None else f"{self.user}{f':{HIDDEN}' if self.password else ''}@"
        query = "&".join(f"{name}={HIDDEN if SECRET_NAME.search(name) else value}" for name, value in self.query)
        place = f"//{login}{','.join(self.hosts)}" if self.hosts or self.path else ""
        return f"{self.scheme}:{place}{self.path}{'?' + query if query else ''}"

    __repr__ = __str__

    def endpoint(self, default_port: int) -> tuple[str, int]:
        """The first host and its port.

        Raises:
            ConfigurationError: there is no host, or its port is no number of 1 to 65535.
        """
        if not self.hosts:
            raise ConfigurationError(f"{self}: no host; expected {self.scheme}://HOST:PORT")
        return split_host(self.hosts[0], default_port, f"{self.scheme} URI")


def split_host(text: str, default_port: int, where: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `host` as a pair.

    Raises:
        ConfigurationError: the port is no number of 1 to 65535.
    """
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", text)
    if match is None or not match[1]:
        raise ConfigurationError(f"{where}: {shown(text)} is no host; expected HOST:PORT or [IPV6]:PORT")
    host, port = match[1].strip("[]"), match[2]
    if port is None:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        # Where a login has lost its @, this is a password.
        number = f"{port} " if re.fullmatch("[0-9]{1,9}", port) else ""
        raise ConfigurationError(f"{where}: the port {number}of {shown(host)}; expected a number from 1 to 65535")
    return host, int(port)


def parse(text: str) -> Uri:
    """Take a URI apart.

    Raises:
        ConfigurationError: it is none, an option has no `=`, or an option is given twice.
    """
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?([^?]*)(?:\?(.*))?", text, re.DOTALL)
    if match is None:
        # What stands before a colon may be a misspelt scheme, but never more than that: the rest may hold a password.
        raise ConfigurationError(f"{shown(text, 40)} is no URI; expected SCHEME://…")
    scheme, slashes, rest, query_text = match.groups()
    scheme = scheme.lower()
    authority, slash, path = rest.partition("/") if slashes else ("", "", rest)
    login, at, hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    # Of a password with a sign in it that means something in a URI, the rest is taken for something else.
    torn = not at and _NO_PORT.search(hosts) and "@" in rest + (query_text or "")
    if torn or (scheme == "mysql" and ("@" in path or not slashes)):
        raise ConfigurationError(
            f"{scheme} URI: expected {scheme}://USER:PASSWORD@HOST/…, "
            "with '/', '?', '@' or '%' in the password as %2F, %3F, %40 or %25"
        )
    path = unquote(slash + path)
    if scheme == "kafka" and not hosts:
        hosts, path = path.strip("/"), ""
        if "@" in hosts:
            raise ConfigurationError("kafka URI: brokers take no login; expected kafka:///HOST:PORT,…?topic=NAME")
    query = _query(query_text or "", scheme)
    for secret in (unquote(password), *(value for name, value in query if SECRET_NAME.search(name))):
        remember(secret)
    return Uri(
        scheme=scheme,
        hosts=tuple(host for host in hosts.split(",") if host),
        path=path,
        user=unquote(user) if at else None,
        password=unquote(password) if colon else None,
        query=query,
    )


def _query(text: str, scheme: str) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        name = unquote(name)
        if not equals:
            raise ConfigurationError(
                f"{scheme} URI: option {shown(name)} has no value; expected {shown(name)[1:-1]}=VALUE"
            )
        if name in pairs:
            raise ConfigurationError(f"{scheme} URI: option {shown(name)} is given twice; expected it once")
        pairs[name] = unquote(value)
    return tuple(pairs.items())


@dataclass(frozen=True)
class Option:
    """One option that a scheme knows.

    Attributes:
        kind: reads the text; raises ValueError with what was expected.
        default: the value where the URI does not have the option.
        help: one line for the documentation.
    """

    kind: Callable[[str], Any]
    default: Any
    help: str


Options = Mapping[str, Option]


@dataclass(frozen=True)
class Endpoint:
    """A URI together with the values of all options of its scheme."""

    uri: Uri
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.uri)


def typed(uri: Uri, declared: Options) -> Endpoint:
    """The URI with every declared option typed, defaults filled in.

    Raises:
        ConfigurationError: names an unknown option and the nearest known one, or what a value should have been.
    """
    values = {name: option.default for name, option in declared.items()}
    for name, text in uri.query:
        option = declared.get(name)
        if option is None:
            nearest = difflib.get_close_matches(name, declared, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(sorted(declared)) or 'none'}"
            raise ConfigurationError(f"{uri.scheme} URI: unknown option {shown(name)}; {hint}")
        try:
            values[name] = option.kind(text)
        except ValueError as error:
            shown_value = HIDDEN if SECRET_NAME.search(name) else repr(text)
            raise ConfigurationError(f"{uri.scheme} URI: option {name}={shown_value}; expected {error}") from None
    return Endpoint(uri, MappingProxyType(values))


def one_of_schemes(uri: Uri, schemes: Mapping[str, Options], what: str) -> Options:
    """The options that the URI's scheme knows.

    Raises:
        ConfigurationError: names the scheme and the ones that can be `what` (an input or an output).
    """
    declared = schemes.get(uri.scheme)
    if declared is None:
        nearest = difflib.get_close_matches(uri.scheme, schemes, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(sorted(schemes))}"
        raise ConfigurationError(f"no {what} has the scheme {uri.scheme!r}; {hint}")
    return declared
