"""A role's arguments come in; everything that text alone shows to be wrong with them goes out, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elworkers import roles
from elworkers.arguments import Argument, Arguments, parse
from elworkers.errors import ConfigurationError
from elworkers.schemes import DOORS, check_sink, check_source, check_store, check_topics, consumer_group
from elworkers.uris import Endpoint


def checked(role: str, words: Sequence[Argument]) -> Arguments:
    """The arguments of a role, sorted and checked without opening anything.

    Raises:
        ConfigurationError: the first thing that is wrong, with file and line.
    """
    module = roles.module(role)
    arguments = parse(module.SPEC, words)
    for positional in module.SPEC.positionals:
        for place in arguments.places[positional.name]:
            _check_one(positional.kind, place, arguments)
    for place in _places_of_invalid(arguments):
        _check_one("sink", place, arguments)
    try:
        module.check(arguments)
    except ConfigurationError as error:
        raise error.at(words[0].file if words else None) from None
    return arguments


def endpoints(arguments: Arguments) -> Iterator[Endpoint]:
    """The inputs and outputs that `checked` arguments name."""
    for positional in roles.module(arguments.role).SPEC.positionals:
        check = {"source": check_source, "sink": check_sink}.get(positional.kind)
        if check is not None:
            yield from (check(place.text) for place in arguments.places[positional.name])
    yield from (check_sink(place.text) for place in _places_of_invalid(arguments))


def _places_of_invalid(arguments: Arguments) -> Iterator[Argument]:
    for place in arguments.places.get("output_invalid", ()):
        _, _, text = place.text.partition("=") if "=" in place.text.split()[0] else place.text.partition(" ")
        if text.strip():
            yield Argument(text.strip(), place.file, place.line)


def _check_one(kind: str, place: Argument, arguments: Arguments) -> None:
    try:
        if kind == "source":
            _check_source(place.text, arguments)
        elif kind == "sink":
            _check_sink(place.text)
        elif kind == "topics":
            check_topics(place.text)
        elif kind == "store":
            check_store(place.text)
        elif kind == "format":
            from elworkers.stages.parse import compile_format

            compile_format(place.text)
    except ConfigurationError as error:
        raise error.at(place.file, place.line) from None


def _check_source(text: str, arguments: Arguments) -> None:
    endpoint = check_source(text)
    if endpoint.uri.scheme in DOORS and "spool_dir" not in arguments.values:
        raise ConfigurationError(f"{endpoint.uri.scheme} URI: only a forwarder takes events from it")
    if endpoint.uri.scheme == "kafka" and consumer_group(endpoint, arguments["sid"]) is None:
        raise ConfigurationError("kafka URI: no consumer group; expected identity=NAME in the URI or --sid NAME")


def _check_sink(text: str) -> None:
    endpoint = check_sink(text)
    if endpoint.uri.scheme == "kafka":
        from elworkers.stages.route import Template

        Template(endpoint.options["topic"])
        if endpoint.options["key"]:
            Template(endpoint.options["key"])
