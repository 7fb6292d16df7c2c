# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the connector of a URI's scheme, and checks inputs, outputs and folders of importers without opening any.

A package in this folder that has a module `connector` is a connector, or several: each `Connector` that it lists in
`CONNECTORS` has one scheme. Others are installed as entry points of the group `GROUP`, each by the name of its scheme.
Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

import contextlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from elworkers import connectors
from elworkers.config import inherited
from elworkers.config.endpoints import unwrapped
from elworkers.config.inherited import PASSED, NameRule, NameRules
from elworkers.config.uris import Endpoint, Uri, parse, typed, unknown_scheme
from elworkers.connectors.connector import Connector, SinkEndpoint, SinkSpec, SourceEndpoint, SourceSpec
from elworkers.connectors.storage import OF_FSSPEC, StorageEndpoint, StorageSpec
from elworkers.core.errors import ConfigurationError, ElworkersError
from elworkers.core.extras import needs

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "elworkers.connectors"


@cache
def bundled() -> Mapping[str, Connector]:
    """Return the connectors of this package by their schemes."""
    packages = sorted(module.name for module in pkgutil.iter_modules(connectors.__path__) if module.ispkg)
    names = [f"{connectors.__name__}.{package}.connector" for package in packages]
    found = [one for name in names if find_spec(name) for one in import_module(name).CONNECTORS]
    return {one.scheme: one for one in found}


def source_specs() -> dict[str, SourceSpec]:
    """Return the inputs of this package by their schemes."""
    return {scheme: one.source for scheme, one in bundled().items() if one.source is not None}


def sink_specs() -> dict[str, SinkSpec]:
    """Return the outputs of this package by their schemes."""
    return {scheme: one.sink for scheme, one in bundled().items() if one.sink is not None}


def storage_specs() -> dict[str, StorageSpec]:
    """Return the base folders of importers by their schemes, of this package."""
    return {scheme: one.storage for scheme, one in bundled().items() if one.storage is not None}


def find(scheme: str) -> Connector | None:
    """Return the connector of a scheme; None where there is none.

    Raises:
        ConfigurationError: somebody else's is installed, and cannot be used.
    """
    found = bundled().get(scheme)
    if found is not None:
        return found
    installed = _installed(tuple(sys.path)).get(scheme)
    return _loaded(scheme, installed) if installed is not None else None


@lru_cache(maxsize=1)
def _installed(_path: Sequence[str]) -> Mapping[str, EntryPoint]:
    # Imported here: most hosts never come to it.
    from importlib.metadata import entry_points

    return {one.name.lower(): one for one in entry_points(group=GROUP)}


@cache
def _loaded(scheme: str, installed: EntryPoint) -> Connector:
    title = f"{scheme} URI: its connector {installed.value}"
    try:
        found = installed.load()
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{title} cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(found, Connector) or found.scheme != scheme:
        is_what = f"is one of the scheme {found.scheme!r}" if isinstance(found, Connector) else f"is {found!r}"
        raise ConfigurationError(f"{title} {is_what}; expected a Connector of the scheme {scheme!r}")
    return found


def check_source(text: str) -> SourceEndpoint:
    """Return an input URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    return check_sources(text)[0]


def check_sources(text: str) -> tuple[SourceEndpoint, ...]:
    """Return an input URI with its typed options, once for each topic that it names; once where it is not Kafka's.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    found = find(uri.scheme)
    if found is None or found.source is None:
        raise unknown_scheme(uri, _known(source_specs()), "input", inherited.INPUT_SCHEMES, wraps=True)
    spec = found.source
    with _blamed(found):
        endpoint = typed(uri, spec.options, _rules(inherited.INPUTS, uri.scheme, found.sink, "output"))
        spec.check(endpoint)
        return tuple(SourceEndpoint(uri, options, endpoint.passed, spec=spec) for options in spec.expand(endpoint))


def check_sink(text: str) -> SinkEndpoint:
    """Return an output URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    found = find(uri.scheme)
    if found is None or found.sink is None:
        raise unknown_scheme(uri, _known(sink_specs()), "output", inherited.OUTPUT_SCHEMES, wraps=True)
    spec = found.sink
    with _blamed(found):
        endpoint = typed(uri, spec.options, _rules(inherited.OUTPUTS, uri.scheme, found.source, "input"))
        spec.check(endpoint)
        return SinkEndpoint(uri, spec.normalize(endpoint), endpoint.passed, spec=spec)


def check_storage(text: str) -> StorageEndpoint:
    """Return the base folder of an importer with typed options; of schemes that only fsspec has, as they are written.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = unwrapped(text, "file:///PATH or hdfs://NAMENODE:9870/PATH")
    found = find(uri.scheme)
    if found is None or found.storage is None:
        return _of_fsspec(uri)
    spec = found.storage
    with _blamed(found):
        endpoint = Endpoint(uri, dict(uri.query)) if spec.options is None else typed(uri, spec.options)
        spec.check(endpoint)
        return StorageEndpoint(uri, endpoint.options, endpoint.passed, spec=spec)


def _of_fsspec(uri: Uri) -> StorageEndpoint:
    needs("hdfs", f"{uri.scheme} URI")
    from fsspec import available_protocols

    if uri.scheme not in available_protocols():
        raise unknown_scheme(uri, (*_known(storage_specs()), *available_protocols()), "folder")
    return StorageEndpoint(uri, dict(uri.query), spec=OF_FSSPEC)


@contextlib.contextmanager
def _blamed(connector: Connector) -> Iterator[None]:
    """Turn what others' checks raise into an error of the URI, so that other instances go on; in ours it is a bug."""
    try:
        yield
    except ElworkersError:
        raise
    except Exception as error:
        if connector.scheme in bundled():
            raise
        why = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"{connector.scheme} URI: its connector cannot check it ({why})") from error


def _known(ours: Iterable[str]) -> list[str]:
    """Our schemes of a direction, and those of others, which may have it."""
    return [*ours, *_installed(tuple(sys.path))]


def _rules(
    tables: Mapping[str, NameRules], scheme: str, other: SourceSpec | SinkSpec | None, direction: str
) -> NameRules:
    """Return what becomes of names that a scheme does not declare: the original's, and those of the other direction.

    One URI was often an output here and an input there.
    """
    names = other.options if other is not None else ()
    elsewhere = dict.fromkeys(names, NameRule(PASSED, f"it means something only for an {direction}"))
    return {**elsewhere, **tables.get(scheme, {})}
