# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A role's arguments come in; everything that text alone shows to be wrong with them goes out, with its place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from elworkers import roles
from elworkers.config.argument_files import Argument, Environment
from elworkers.config.arguments import Arguments, IgnoredName, parse
from elworkers.config.endpoints import check_store, check_topics, consumer_group
from elworkers.config.uris import Endpoint
from elworkers.config.uris import parse as parse_uri
from elworkers.config.wraps import Wrap
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.connectors.registry import check_sink, check_source, check_sources
from elworkers.core.errors import ConfigurationError
from elworkers.core.extras import needs


def checked(role: str, words: Sequence[Argument], env: Environment = os.environ) -> Arguments:
    """The arguments of a role, sorted and checked without opening anything or executing operators' own code.

    Args:
        role, words: the role and what it is given.
        env: says where modules with functions are.

    Raises:
        ConfigurationError: the first thing that is wrong, with file and line.
    """
    module = roles.module(role)
    arguments = parse(module.SPEC, words)
    passed = list(arguments.passed)
    for positional in module.SPEC.positionals:
        for place in arguments.places[positional.name]:
            passed += _check_one(positional.kind, place, arguments)
    for place in _places_of_invalid(arguments):
        passed += _check_one("sink", place, arguments)
    for place, wraps in functions(arguments):
        _check_functions(place, wraps, env)
    try:
        module.check(arguments)
    except ConfigurationError as error:
        raise error.at(words[0].file if words else None) from None
    return replace(arguments, passed=tuple(passed))


def endpoints(arguments: Arguments) -> Iterator[SourceEndpoint | SinkEndpoint]:
    """The inputs and outputs that `checked` arguments name; an input with several topics once for each."""
    for positional in roles.module(arguments.role).SPEC.positionals:
        for place in arguments.places[positional.name]:
            if positional.kind == "source":
                yield from check_sources(place.text)
            elif positional.kind == "sink":
                yield check_sink(place.text)
    yield from (check_sink(place.text) for place in _places_of_invalid(arguments))


def functions(arguments: Arguments) -> Iterator[tuple[Argument, tuple[Wrap, ...]]]:
    """The functions of inputs and outputs that name any, with the place of each."""
    specs = roles.module(arguments.role).SPEC.positionals
    places = [place for spec in specs if spec.kind in ("source", "sink") for place in arguments.places[spec.name]]
    for place in (*places, *_places_of_invalid(arguments)):
        wraps = parse_uri(place.text).wraps
        if wraps:
            yield place, wraps


def _check_functions(place: Argument, wraps: Sequence[Wrap], env: Environment) -> None:
    from elworkers.functions.finding import check

    try:
        check(wraps, env)
    except ConfigurationError as error:
        raise error.at(place.file, place.line) from None


def rehearse(arguments: Arguments, env: Environment) -> None:
    """Load operators' own functions in a process of their own, as each worker will.

    Raises:
        ConfigurationError: one cannot be loaded; with file and line.
    """
    for place, wraps in functions(arguments):
        from elworkers.functions import loading

        try:
            for wrap in wraps:
                loading.rehearse(wrap, env)
        except ConfigurationError as error:
            raise error.at(place.file, place.line) from None


def _places_of_invalid(arguments: Arguments) -> Iterator[Argument]:
    text = arguments.values.get("output_invalid")
    if text:
        yield from (Argument(text, place.file, place.line) for place in arguments.places["output_invalid"])


def _check_one(kind: str, place: Argument, arguments: Arguments) -> list[IgnoredName]:
    endpoint: Endpoint | None = None
    try:
        if kind == "source":
            endpoint = _checked_source(place.text, arguments)
        elif kind == "sink":
            endpoint = _checked_sink(place.text, arguments)
        elif kind == "topics":
            check_topics(place.text)
        elif kind == "store":
            check_store(place.text)
        elif kind == "format":
            from elworkers.events.parse import compile_format

            compile_format(place.text)
    except ConfigurationError as error:
        raise error.at(place.file, place.line) from None
    return [IgnoredName(name, why, place) for name, why in endpoint.passed] if endpoint else []


def _checked_source(text: str, arguments: Arguments) -> SourceEndpoint:
    endpoint = check_source(text)
    if endpoint.spec.listens_only and "spool_dir" not in arguments.values:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a forwarder takes events from it")
    if endpoint.spec.extra is not None:
        needs(endpoint.spec.extra, f"{endpoint.uri.scheme} URI")
    if endpoint.spec.shared and consumer_group(endpoint, arguments["sid"]) is None:
        raise ConfigurationError(
            f"{endpoint.uri.scheme} URI: no consumer group; expected identity=NAME in the URI or --sid NAME"
        )
    return endpoint


def _checked_sink(text: str, arguments: Arguments) -> SinkEndpoint:
    endpoint = check_sink(text)
    consumes = arguments.role == "consumer"
    raw = arguments.role == "forwarder" or (consumes and check_source(arguments["input"]).options.get("raw", False))
    if endpoint.spec.tables and not consumes:
        expected = "expected a Kafka topic here, and an instance in consumers/ that reads it"
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a consumer stores events in a database; {expected}")
    if endpoint.spec.tables and raw:
        raise ConfigurationError(
            f"{endpoint.uri.scheme} URI: lines of raw=True have no table; expected the input without raw=True"
        )
    endpoint.spec.check_records(endpoint, raw)
    return endpoint
