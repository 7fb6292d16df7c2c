# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks a role's arguments as far as text can show what is wrong, and names file and line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from elworkers import roles
from elworkers.config.argument_files import Argument, Environment
from elworkers.config.arguments import Arguments, IgnoredName, parse
from elworkers.config.endpoints import check_topics, consumer_group
from elworkers.config.uris import Endpoint
from elworkers.config.wraps import Wrap
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.connectors.registry import check_sink, check_sources, check_storage
from elworkers.core.errors import ConfigurationError
from elworkers.core.extras import needs
from elworkers.roles.exactly_once import check_exactly_once


def check_arguments(role: str, argv: Sequence[Argument], env: Environment = os.environ) -> Arguments:
    """Return the arguments of a role, sorted and checked without opening anything or executing operators' own code.

    Args:
        role, argv: the role and what it is given.
        env: has the folders of modules with functions.

    Raises:
        ConfigurationError: the first thing that is wrong, with file and line.
    """
    module = roles.module(role)
    arguments = _with_endpoints(parse(module.SPEC, argv))
    for argument, wraps in arguments.functions:
        _check_functions(argument, wraps, env)
    check_exactly_once(arguments, env)
    try:
        module.check(arguments)
    except ConfigurationError as error:
        raise error.at(argv[0].file if argv else None) from None
    return arguments


def endpoints(arguments: Arguments) -> Iterator[SourceEndpoint | SinkEndpoint]:
    """Yield the inputs and outputs of checked arguments; an input with several topics once for each."""
    for found in arguments.endpoints.values():
        yield from (endpoint for endpoint in found if isinstance(endpoint, SourceEndpoint | SinkEndpoint))


def _with_endpoints(arguments: Arguments) -> Arguments:
    """With everything that is a URI checked, once for all."""
    found: dict[str, tuple[Endpoint, ...]] = {}
    places: dict[str, tuple[Argument, ...]] = {}
    functions: list[tuple[Argument, tuple[Wrap, ...]]] = []
    passed = list(arguments.passed)
    for name, endpoint_type, argument in _uris(arguments):
        some = _check_uri(endpoint_type, argument, arguments, found.get("input", ()))
        if some:
            found[name] = (*found.get(name, ()), *some)
            places[name] = (*places.get(name, ()), *[argument] * len(some))
        for one in some[:1]:
            passed += [IgnoredName(option, why, argument) for option, why in one.passed]
            functions += [(argument, one.uri.wraps)] if one.uri.wraps else []
    return replace(arguments, endpoints=found, places=places, functions=tuple(functions), passed=tuple(passed))


def _uris(arguments: Arguments) -> Iterator[tuple[str, str, Argument]]:
    """Yield name, type and argument of whatever is to be checked."""
    for positional in roles.module(arguments.role).SPEC.positionals:
        for argument in arguments.locations[positional.name]:
            yield positional.name, positional.type, argument
    text: str | None = arguments.values.get("output_invalid")
    if text:
        (argument,) = arguments.locations["output_invalid"]
        yield "output_invalid", "sink", Argument(text, argument.file, argument.line)


def _check_functions(argument: Argument, wraps: Sequence[Wrap], env: Environment) -> None:
    from elworkers.functions.finding import check

    try:
        check(wraps, env)
    except ConfigurationError as error:
        raise error.at(argument.file, argument.line) from None


def rehearse(arguments: Arguments, env: Environment) -> None:
    """Load operators' own functions in a process of their own, as each worker will.

    Raises:
        ConfigurationError: one cannot be loaded; with file and line.
    """
    for argument, wraps in arguments.functions:
        from elworkers.functions import loading

        try:
            for wrap in wraps:
                loading.rehearse(wrap, env)
        except ConfigurationError as error:
            raise error.at(argument.file, argument.line) from None


def _check_uri(
    endpoint_type: str, argument: Argument, arguments: Arguments, inputs: Sequence[Endpoint]
) -> Sequence[Endpoint]:
    try:
        if endpoint_type == "source":
            return _check_sources(argument.text, arguments)
        if endpoint_type == "sink":
            return (_check_sink(argument.text, arguments, inputs),)
        if endpoint_type == "topics":
            return (check_topics(argument.text),)
        if endpoint_type == "storage":
            return (check_storage(argument.text),)
        if endpoint_type == "format":
            from elworkers.events.parse import compile_format

            compile_format(argument.text)
    except ConfigurationError as error:
        raise error.at(argument.file, argument.line) from None
    return ()


def _check_sources(text: str, arguments: Arguments) -> Sequence[SourceEndpoint]:
    found = check_sources(text)
    endpoint = found[0]
    if endpoint.spec.listens_only and "spool_dir" not in arguments.values:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a forwarder takes events from it")
    if endpoint.spec.extra is not None:
        needs(endpoint.spec.extra, f"{endpoint.uri.scheme} URI")
    if endpoint.spec.shared and consumer_group(endpoint, arguments["sid"]) is None:
        raise ConfigurationError(
            f"{endpoint.uri.scheme} URI: no consumer group; expected identity=NAME in the URI or --sid NAME"
        )
    return found


def _check_sink(text: str, arguments: Arguments, inputs: Sequence[Endpoint]) -> SinkEndpoint:
    endpoint = check_sink(text)
    consumes = arguments.role == "consumer"
    raw = arguments.role == "forwarder" or (consumes and inputs[0].options.get("raw", False))
    if endpoint.spec.tables and not consumes:
        expected = "expected a Kafka topic here, and an instance in consumers/ that reads it"
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a consumer stores events in a database; {expected}")
    if endpoint.spec.tables and raw:
        raise ConfigurationError(
            f"{endpoint.uri.scheme} URI: lines of raw=True have no table; expected the input without raw=True"
        )
    endpoint.spec.check_records(endpoint, raw)
    return endpoint
