# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The text of an input or output URI comes in; its connector, and its options checked as far as text can be, go out.

A package in this folder that has a module `connector` is a connector, or several: each `Connector` that it lists in
`CONNECTORS` has one scheme. Others are installed as entry points of the group `GROUP`, each by the name of its scheme.
Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from elworkers import connectors
from elworkers.config import inherited
from elworkers.config.inherited import PASSED, NameRule, NameRules
from elworkers.config.uris import parse, typed, unknown_scheme
from elworkers.connectors.connector import Connector, SinkEndpoint, SinkSpec, SourceEndpoint, SourceSpec


@cache
def bundled() -> Mapping[str, Connector]:
    """The connectors of this package by their schemes."""
    packages = sorted(module.name for module in pkgutil.iter_modules(connectors.__path__) if module.ispkg)
    names = [f"{connectors.__name__}.{package}.connector" for package in packages]
    found = [one for name in names if find_spec(name) for one in import_module(name).CONNECTORS]
    return {one.scheme: one for one in found}


def source_specs() -> dict[str, SourceSpec]:
    """The inputs of this package by their schemes."""
    return {scheme: one.source for scheme, one in bundled().items() if one.source is not None}


def sink_specs() -> dict[str, SinkSpec]:
    """The outputs of this package by their schemes."""
    return {scheme: one.sink for scheme, one in bundled().items() if one.sink is not None}


def check_source(text: str) -> SourceEndpoint:
    """An input URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    return check_sources(text)[0]


def check_sources(text: str) -> tuple[SourceEndpoint, ...]:
    """An input URI with its typed options, once for each topic that it names; once where it is not Kafka's.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    found = bundled().get(uri.scheme)
    if found is None or found.source is None:
        raise unknown_scheme(uri, source_specs(), "input", inherited.INPUT_SCHEMES)
    spec = found.source
    endpoint = typed(uri, spec.options, _rules(inherited.INPUTS, uri.scheme, found.sink, "output"))
    spec.check(endpoint)
    return tuple(SourceEndpoint(uri, options, endpoint.passed, spec=spec) for options in spec.each(endpoint))


def check_sink(text: str) -> SinkEndpoint:
    """An output URI with its typed options.

    Raises:
        ConfigurationError: names the option and what was expected.
    """
    uri = parse(text)
    found = bundled().get(uri.scheme)
    if found is None or found.sink is None:
        raise unknown_scheme(uri, sink_specs(), "output", inherited.OUTPUT_SCHEMES)
    spec = found.sink
    endpoint = typed(uri, spec.options, _rules(inherited.OUTPUTS, uri.scheme, found.source, "input"))
    spec.check(endpoint)
    return SinkEndpoint(uri, spec.complete(endpoint), endpoint.passed, spec=spec)


def _rules(
    tables: Mapping[str, NameRules], scheme: str, other: SourceSpec | SinkSpec | None, direction: str
) -> NameRules:
    """What becomes of names that a scheme does not declare: the original's, and those of the other direction.

    One URI was often an output here and an input there.
    """
    names = other.options if other is not None else ()
    elsewhere = dict.fromkeys(names, NameRule(PASSED, f"it means something only for an {direction}"))
    return {**elsewhere, **tables.get(scheme, {})}
