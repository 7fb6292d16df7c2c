# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds the connector of a URI's scheme, and checks inputs, outputs and folders of importers without opening any.

A package in this folder that has a module `connector` is a connector, or several: each `Connector` that it lists in
`CONNECTORS` has one scheme. Those of other distributions are found by `installed`.
Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from elworkers import connectors
from elworkers.config import inherited
from elworkers.config.endpoints import unwrapped
from elworkers.config.inherited import PASSED, NameRule, NameRules
from elworkers.config.uris import Endpoint, Options, Uri, parse, typed, unknown_scheme
from elworkers.connectors import installed
from elworkers.connectors.connector import Connector, SinkEndpoint, SinkSpec, SourceEndpoint, SourceSpec
from elworkers.connectors.storage import OF_FSSPEC, StorageEndpoint, StorageSpec
from elworkers.core.extras import needs


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
    return bundled().get(scheme) or installed.find(scheme)


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
        raise unknown_scheme(uri, _all_schemes(source_specs()), "input", inherited.INPUT_SCHEMES, wraps=True)
    spec = found.source
    endpoint = _typed(uri, spec.options, _rules(inherited.INPUTS, uri.scheme, found.sink, "output"))
    spec.check(endpoint)
    sources = tuple(SourceEndpoint(uri, options, endpoint.passed, spec=spec) for options in spec.expand(endpoint))
    for one in sources:
        _try_calls(one, spec.address, spec.brokers, spec.path)
    return sources


def check_sink(text: str) -> SinkEndpoint:
    """Return an output URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    found = find(uri.scheme)
    if found is None or found.sink is None:
        raise unknown_scheme(uri, _all_schemes(sink_specs()), "output", inherited.OUTPUT_SCHEMES, wraps=True)
    spec = found.sink
    endpoint = _typed(uri, spec.options, _rules(inherited.OUTPUTS, uri.scheme, found.source, "input"))
    spec.check(endpoint)
    sink = SinkEndpoint(uri, spec.normalize(endpoint), endpoint.passed, spec=spec)
    _try_calls(sink, spec.brokers, spec.path, spec.required_fields)
    return sink


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
    endpoint = Endpoint(uri, dict(uri.query)) if spec.options is None else _typed(uri, spec.options)
    spec.check(endpoint)
    return StorageEndpoint(uri, endpoint.options, endpoint.passed, spec=spec)


def _of_fsspec(uri: Uri) -> StorageEndpoint:
    needs("hdfs", f"{uri.scheme} URI")
    from fsspec import available_protocols

    if uri.scheme not in available_protocols():
        raise unknown_scheme(uri, (*_all_schemes(storage_specs()), *available_protocols()), "folder")
    return StorageEndpoint(uri, dict(uri.query), spec=OF_FSSPEC)


def _typed(uri: Uri, options: Options, rules: NameRules = MappingProxyType({})) -> Endpoint:
    if uri.scheme in bundled():
        return typed(uri, options, rules)
    with installed.named_in_errors(uri.scheme):
        return typed(uri, options, rules)


def _try_calls(endpoint: Endpoint, *calls: Callable[[Any], object]) -> None:
    """Make calls of an installed connector, so that what is wrong with them is an error of the URI, and of no other."""
    if endpoint.uri.scheme not in bundled():
        for call in calls:
            call(endpoint)


def _all_schemes(ours: Iterable[str]) -> list[str]:
    """Our schemes of a direction, and those of others, which may have it."""
    return [*ours, *installed.entry_points(tuple(sys.path))]


def _rules(
    tables: Mapping[str, NameRules], scheme: str, other: SourceSpec | SinkSpec | None, direction: str
) -> NameRules:
    """Return what becomes of names that a scheme does not declare: the original's, and those of the other direction.

    One URI was often an output here and an input there.
    """
    names = other.options if other is not None else ()
    elsewhere = dict.fromkeys(names, NameRule(PASSED, f"it means something only for an {direction}"))
    return {**elsewhere, **tables.get(scheme, {})}
