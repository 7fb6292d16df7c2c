# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Parses URIs of inputs and outputs and types their options.

A URI is `scheme:[//authority][/path][?name=value&…]`. Only percent escapes are decoded in the query: `+` stays
`+`, because it is common in blacklist patterns (reference of 2016). Kafka's brokers may stand in the authority or,
as they did in 2016, in the path: `kafka:///k1:9092,k2:9092?topic=…`; or, as early in 2015, in `brokers=`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from elworkers.config.hints import nearest
from elworkers.config.inherited import KAFKA_SCHEMES, PASSED, READ, REJECTED, NameRule, NameRules
from elworkers.config.wraps import FUNCTION, OPTIONS, SCHEMAS, SCHEMES, Wrap, named, unwrapped
from elworkers.core.errors import ConfigurationError
from elworkers.core.passwords import HIDDEN, SECRET_NAME, remember, shown

_NO_PORT = re.compile(r":(?!\d{0,5}(?:,|$))")


@dataclass(frozen=True, repr=False)
class Uri:
    """A URI taken apart; its text form never shows the password.

    Attributes:
        scheme: in lower case; `kafka` for all of Kafka's.
        hosts: each `host` or `host:port`; IPv6 addresses in brackets.
        path: decoded, with its leading slash; empty where the path held Kafka's brokers.
        user, password: decoded, or None.
        query: the options as written, decoded, in order.
        wraps: the functions of `map://` and `filter://` before it, the outermost first.
        client: the Kafka client that `kafka-confluent:` or `kafka-pykafka:` names; else empty.
    """

    scheme: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    user: str | None = None
    password: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    wraps: tuple[Wrap, ...] = ()
    client: str = ""

    def __str__(self) -> str:
        login = "" if self.user is None else f"{self.user}{f':{HIDDEN}' if self.password else ''}@"
        options = [f"{name}={HIDDEN if SECRET_NAME.search(name) else value}" for name, value in self.query]
        options += [f"{SCHEMAS}={self.wraps[0].schemas}"] if self.wraps and self.wraps[0].schemas else []
        query = "&".join(options + [f"{FUNCTION}={wrap.function}" for wrap in self.wraps])
        authority_text = f"//{login}{','.join(self.hosts)}" if self.hosts or self.path else ""
        before = "".join(f"{wrap.scheme}://" for wrap in self.wraps)
        scheme = f"{self.scheme}-{self.client}" if self.client else self.scheme
        return f"{before}{scheme}:{authority_text}{self.path}{'?' + query if query else ''}"

    __repr__ = __str__

    def endpoint(self, default_port: int) -> tuple[str, int]:
        """Return the first host and its port.

        Raises:
            ConfigurationError: there is no host, or its port is no number of 1 to 65535.
        """
        if not self.hosts:
            raise ConfigurationError(f"{self}: no host; expected {self.scheme}://HOST:PORT")
        return split_host(self.hosts[0], default_port, f"{self.scheme} URI")


def split_host(text: str, default_port: int, where: str) -> tuple[str, int]:
    """Return `host:port`, `[v6]:port` or `host` as a pair.

    Raises:
        ConfigurationError: the port is no number of 1 to 65535.
    """
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", text)
    if match is None or not match[1]:
        raise ConfigurationError(f"{where}: {shown(text)} is not a host; expected HOST:PORT or [IPV6]:PORT")
    host, port = match[1].strip("[]"), match[2]
    if port is None:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        # Where a login has lost its @, this is a password.
        number = f"{port} " if re.fullmatch("[0-9]{1,9}", port) else ""
        raise ConfigurationError(f"{where}: the port {number}of {shown(host)}; expected a number from 1 to 65535")
    return host, int(port)


def parse(text: str) -> Uri:
    """Take a URI apart, and what is wrapped around it.

    Raises:
        ConfigurationError: it is none, an option has no `=` or is given twice, or a function is missing.
    """
    text, schemes = unwrapped(text)
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?([^?]*)(?:\?(.*))?", text, re.DOTALL)
    if match is None:
        # What stands before a colon may be a misspelt scheme, but never more than that: the rest may hold a password.
        raise ConfigurationError(f"{shown(text, 40)} is not a URI; expected SCHEME://…")
    scheme, slashes, rest, query_text = match.groups()
    client = KAFKA_SCHEMES.get(scheme.lower(), "")
    scheme = "kafka" if scheme.lower() in KAFKA_SCHEMES else scheme.lower()
    authority, slash, path = rest.partition("/") if slashes else ("", "", rest)
    login, at, hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    # Of a password with a sign in it that means something in a URI, the rest is taken for something else.
    is_torn = not at and _NO_PORT.search(hosts) and "@" in rest + (query_text or "")
    if is_torn or (scheme == "mysql" and ("@" in path or not slashes)):
        raise ConfigurationError(
            f"{scheme} URI: expected {scheme}://USER:PASSWORD@HOST/…, "
            "with '/', '?', '@' or '%' in the password as %2F, %3F, %40 or %25"
        )
    path = unquote(slash + path)
    if scheme == "kafka" and not hosts:
        hosts, path = path.strip("/"), ""
        if "@" in hosts:
            raise ConfigurationError("kafka URI: brokers take no login; expected kafka:///HOST:PORT,…?topic=NAME")
    query, functions = _query(query_text or "", scheme, OPTIONS if schemes else frozenset())
    if scheme == "kafka":
        hosts, query = _with_brokers(hosts, query)
    for secret in (unquote(password), *(value for name, value in query if SECRET_NAME.search(name))):
        remember(secret)
    return Uri(
        scheme=scheme,
        hosts=tuple(host for host in hosts.split(",") if host),
        path=path,
        user=unquote(user) if at else None,
        password=unquote(password) if colon else None,
        query=query,
        wraps=named(schemes, functions) if schemes else (),
        client=client,
    )


def _with_brokers(hosts: str, query: tuple[tuple[str, str], ...]) -> tuple[str, tuple[tuple[str, str], ...]]:
    named = dict(query).get("brokers")
    if named is None:
        return hosts, query
    if hosts and hosts != named:
        raise ConfigurationError("kafka URI: brokers stand before the ? and in brokers=; expected kafka:///HOST:PORT,…")
    return named, tuple(pair for pair in query if pair[0] != "brokers")


def _query(
    text: str, scheme: str, of_functions: Container[str]
) -> tuple[tuple[tuple[str, str], ...], list[tuple[str, str]]]:
    """Return the URI's own options, and those of the functions around it."""
    pairs: dict[str, str] = {}
    functions: list[tuple[str, str]] = []
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        name = unquote(name)
        if not equals:
            raise ConfigurationError(
                f"{scheme} URI: option {shown(name)} has no value; expected {shown(name)[1:-1]}=VALUE"
            )
        if name in of_functions:
            functions.append((name, unquote(value)))
            continue
        if name in pairs:
            raise ConfigurationError(f"{scheme} URI: option {shown(name)} is given twice; expected it once")
        pairs[name] = unquote(value)
    return tuple(pairs.items()), functions


@dataclass(frozen=True)
class Option:
    """One option that a scheme knows.

    Attributes:
        type: reads the text; raises ValueError with what was expected.
        default: the value where the URI does not have the option.
        help: one line for the documentation.
        family: of one that stands for all names that begin with its own and a dot: reads what is behind that, and the
            text; the value is a tuple of (name, value), sorted.
    """

    type: Callable[[str], Any]
    default: Any
    help: str
    family: Callable[[str, str], Any] | None = None


Options = Mapping[str, Option]


@dataclass(frozen=True)
class Endpoint:
    """A URI together with the values of all options of its scheme.

    Attributes:
        passed: what it has that means nothing here, and why.
    """

    uri: Uri
    options: Mapping[str, Any]
    passed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(self.uri)


def typed(uri: Uri, declared: Options, inherited: NameRules = MappingProxyType({})) -> Endpoint:
    """Return the URI with every declared option typed, defaults filled in.

    Args:
        uri: as it was written.
        declared: the options of its scheme.
        inherited: what becomes of other names; see `inherited`.

    Raises:
        ConfigurationError: names an unknown option and the nearest known one, or what a value should have been.
    """
    values = {name: option.default for name, option in declared.items()}
    passed: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for name, text in uri.query:
        family, dot, member = name.partition(".")
        if dot and family in declared and (read := declared[family].family):
            try:
                values[family] = tuple(sorted((*values[family], (member, read(member, text)))))
            except ValueError as error:
                raise ConfigurationError(f"{uri.scheme} URI: option {shown(name)[1:-1]}; expected {error}") from None
            continue
        known, rule = _known(uri.scheme, name, declared, inherited)
        if rule.does == PASSED or (rule.does == REJECTED and text in rule.values):
            passed.append((name, rule.values.get(text, rule.text)))
            continue
        shown_value = HIDDEN if SECRET_NAME.search(name) else repr(text)
        if rule.does == REJECTED:
            raise ConfigurationError(f"{uri.scheme} URI: option {name}={shown_value}; expected {rule.text}")
        if known in seen:
            raise ConfigurationError(
                f"{uri.scheme} URI: options {seen[known]} and {name} mean the same; expected one of them"
            )
        seen[known] = name
        try:
            values[known] = declared[known].type(rule.values.get(text, text))
        except ValueError as error:
            raise ConfigurationError(f"{uri.scheme} URI: option {name}={shown_value}; expected {error}") from None
    return Endpoint(uri, MappingProxyType(values), tuple(passed))


def _known(scheme: str, name: str, declared: Options, inherited: NameRules) -> tuple[str, NameRule]:
    """Return the option that a name stands for, and what becomes of it."""
    plain = name.replace(".", "_")
    if plain in declared:
        return plain, NameRule(READ, plain)
    rule = inherited.get(plain)
    if rule is not None:
        return rule.text, rule
    if plain == FUNCTION:
        raise ConfigurationError(
            f"{scheme} URI: option {name} belongs to map:// or filter://; expected map://{scheme}:…"
        )
    meant = {known: known for known in declared} | {old: w.text for old, w in inherited.items() if w.does == READ}
    near = nearest(plain, meant, 0.5)
    hint = f"did you mean {meant[near]!r}?" if near else f"known: {', '.join(sorted(declared)) or 'none'}"
    raise ConfigurationError(f"{scheme} URI: unknown option {shown(name)}; {hint}")


def unknown_scheme(
    uri: Uri, schemes: Collection[str], what: str, inherited: NameRules = MappingProxyType({}), wraps: bool = False
) -> ConfigurationError:
    """Return the error of a URI whose scheme is none of these: the scheme, and what was expected.

    Args:
        uri: as it was written.
        schemes: those that there are.
        what: they can be, an input or an output.
        inherited: other schemes, and what is to be written instead.
        wraps: whether there may be functions before it.
    """
    if uri.scheme in inherited:
        return ConfigurationError(
            f"{uri.scheme} URI: there is no such {what} here; expected {inherited[uri.scheme].text}"
        )
    kafkas = KAFKA_SCHEMES if "kafka" in schemes else ()
    near = nearest(uri.scheme, [*schemes, *kafkas, *(SCHEMES if wraps else ())])
    hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(sorted(schemes))}"
    return ConfigurationError(f"no {what} has the scheme {uri.scheme!r}; {hint}")
