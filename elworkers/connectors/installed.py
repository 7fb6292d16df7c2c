# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Loads the connectors of other distributions, and names them in errors for their faults.

They are entry points of the group `GROUP`, each by the name of its scheme. A fault of one is a sentence that names the
connector and its distribution, and an error only of whoever uses its scheme.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache, lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from elworkers.config.uris import Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec
from elworkers.connectors.storage import StorageSpec
from elworkers.core.errors import ConfigurationError, ElworkersError
from elworkers.core.extras import EXTRAS
from elworkers.core.passwords import without_passwords
from elworkers.core.sockets import Address

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "elworkers.connectors"

_LISTENING = ("http", "udp")
_TOPIC_OPTIONS = ("topic", "partitions", "replication")

_Spec = TypeVar("_Spec", SourceSpec, SinkSpec, StorageSpec)


@lru_cache(maxsize=1)
def entry_points(_path: Sequence[str]) -> Mapping[str, EntryPoint]:
    """Return the installed connectors by scheme, as long as `sys.path` stays the same."""
    # Imported here: most hosts never come to it.
    from importlib import metadata

    return {one.name.lower(): one for one in metadata.entry_points(group=GROUP)}


def find(scheme: str) -> Connector | None:
    """Return the installed connector of a scheme; None where there is none.

    Raises:
        ConfigurationError: it cannot be loaded, or declares something that cannot be.
    """
    entry_point = entry_points(tuple(sys.path)).get(scheme)
    return _load(scheme, entry_point) if entry_point is not None else None


def _title(scheme: str, entry_point: EntryPoint) -> str:
    distribution = entry_point.dist
    of = f" of {distribution.name} {distribution.version}" if distribution is not None else ""
    return f"{scheme} URI: its connector {entry_point.value}{of}"


@cache
def _load(scheme: str, entry_point: EntryPoint) -> Connector:
    title = _title(scheme, entry_point)
    try:
        found = entry_point.load()
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{title} cannot be loaded ({_reason(error)})") from error
    if not isinstance(found, Connector) or found.scheme != scheme:
        is_what = f"is one of the scheme {found.scheme!r}" if isinstance(found, Connector) else f"is {found!r}"
        raise ConfigurationError(f"{title} {is_what}; expected a Connector of the scheme {scheme!r}")
    fault = _fault(found)
    if fault:
        raise ConfigurationError(f"{title} {fault}")
    return replace(
        found,
        source=_guarded(found.source, title) if found.source is not None else None,
        sink=_guarded(found.sink, title) if found.sink is not None else None,
        storage=_guarded(found.storage, title) if found.storage is not None else None,
    )


def _reason(error: BaseException) -> str:
    return without_passwords(" ".join(f"{type(error).__name__}: {error}".split()))


def _fault(connector: Connector) -> str:
    """Return the first thing in a declaration that cannot be; empty where there is none."""
    source, sink, storage = connector.source, connector.sink, connector.storage
    if source is None and sink is None and storage is None:
        return "has neither source= nor sink= nor storage="
    specs = (("source", source, SourceSpec), ("sink", sink, SinkSpec), ("storage", storage, StorageSpec))
    for name, spec, expected in specs:
        if spec is not None and not isinstance(spec, expected):
            return f"has {name}={type(spec).__name__}(…); expected a {expected.__name__}"
    if source is not None and source.open is None and source.listener is None:
        return "has a source without open= and listener="
    for name, spec in (("sink", sink), ("storage", storage)):
        if spec is not None and not callable(spec.open):
            return f"has a {name} without open="
    extra = source.extra if source is not None else None
    if extra is not None and extra not in EXTRAS:
        return f"has extra={extra!r}; expected None or an extra of elworkers: {', '.join(sorted(EXTRAS))}"
    return next(filter(None, (_fault_of_options(spec) for _, spec, _ in specs if spec is not None)), "")


def _fault_of_options(spec: SourceSpec | SinkSpec | StorageSpec) -> str:
    options: object = spec.options
    if options is None and isinstance(spec, StorageSpec):
        return ""
    if not (
        isinstance(options, Mapping)
        and all(isinstance(name, str) and isinstance(option, Option) for name, option in options.items())
    ):
        return f"has options={options!r}; expected a mapping of names to Option"
    if isinstance(spec, StorageSpec):
        return ""
    default = next(field.default for field in fields(spec) if field.name == "brokers")
    missing = [name for name in _TOPIC_OPTIONS if name not in options]
    if spec.brokers is not default and missing:
        return f"has brokers= without the options {' and '.join(missing)}"
    return ""


class _Result(NamedTuple):
    """What a call of a connector has to return: in words, and whether a value is that."""

    expected: str
    is_valid: Callable[[Any], bool]


def _is_brokers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _is_expansion(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _is_address(value: object) -> bool:
    return value is None or (isinstance(value, Address) and value.scheme in _LISTENING)


_ANYTHING = _Result("", lambda _: True)

_CHECKS: Mapping[str, _Result] = {
    "check": _ANYTHING,
    "expand": _Result("at least one mapping of options", _is_expansion),
    "address": _Result("an Address of the scheme http or udp, or None", _is_address),
    "brokers": _Result("a list of HOST:PORT", _is_brokers),
    "path": _Result("a Path or None", lambda value: value is None or isinstance(value, Path)),
    "normalize": _Result("a mapping of options", lambda value: isinstance(value, Mapping)),
    "required_fields": _Result("a frozenset of names", lambda value: isinstance(value, frozenset)),
    "check_records": _ANYTHING,
}
"""Calls that open nothing: what goes wrong in them is an error of the URI."""

_FACTORIES: Mapping[str, _Result] = {
    "open": _Result("what it opens", lambda value: value is not None),
    "listener": _Result("a listener", lambda value: value is not None),
    "prepare": _ANYTHING,
    "stored_events": _Result("a lookup of events", lambda value: value is not None),
}
"""Calls that may open something: where one raises what is no error of this program, its worker crashes, by name."""


def _guarded(spec: _Spec, title: str) -> _Spec:
    """Return the declaration with calls that name the connector in their errors."""
    calls: dict[str, Any] = {}
    for table, error_type in ((_CHECKS, ConfigurationError), (_FACTORIES, RuntimeError)):
        for name, result in table.items():
            call = getattr(spec, name, None)
            if call is not None:
                calls[name] = _guard(call, f"{title} %s {name}=", result, error_type)
    return replace(spec, **calls)


def _guard(call: Callable[..., Any], says: str, result: _Result, error_type: type[Exception]) -> Callable[..., Any]:
    @wraps(call)
    def guarded(*args: Any) -> Any:
        try:
            found = call(*args)
        except ElworkersError:
            raise
        except Exception as error:
            raise error_type(f"{says % 'fails in'} ({_reason(error)})") from error
        if not result.is_valid(found):
            raise ConfigurationError(f"{says % f'gives {found!r} for'}; expected {result.expected}")
        return found

    return guarded


@contextlib.contextmanager
def named_in_errors(scheme: str) -> Iterator[None]:
    """Name the installed connector of a scheme where its options fail; without one, what fails is a bug of ours."""
    try:
        yield
    except ElworkersError:
        raise
    except Exception as error:
        entry_point = entry_points(tuple(sys.path)).get(scheme)
        if entry_point is None:
            raise
        raise ConfigurationError(f"{_title(scheme, entry_point)} fails in its options ({_reason(error)})") from error
