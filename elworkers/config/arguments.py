# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sorts arguments into a role's positionals and options, and converts their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elworkers.config.argument_files import Argument
from elworkers.config.hints import nearest
from elworkers.config.inherited import FLAGS, PASSED, READ, port_alone
from elworkers.config.wraps import Wrap
from elworkers.core.errors import ConfigurationError, UsageError
from elworkers.core.passwords import shown


@dataclass(frozen=True)
class Option:
    """An option of a role.

    Attributes:
        flag: with its dashes.
        type: reads the text of its value; raises ValueError with what was expected.
        value: `none`, `required`, or `optional` (then only on the option's own line).
        repeatable: its value is a tuple of all that were given.
        passed: why it is accepted though it has no meaning; empty where it has one.
        aliases: flags that it had before, with their dashes; they work as it does, and each use is warned of.
        metavar: stands for the value in `--help`; empty: derived from `type`.
    """

    flag: str
    help: str
    type: Callable[[str], Any] = str
    value: str = "required"
    default: Any = None
    repeatable: bool = False
    passed: str = ""
    aliases: tuple[str, ...] = ()
    metavar: str = ""

    @property
    def name(self) -> str:
        """The flag as an attribute: `--stop-timeout` is `stop_timeout`."""
        return self.flag[2:].replace("-", "_")


@dataclass(frozen=True)
class Positional:
    """An argument without a flag; `many` takes all that are left (at least one)."""

    name: str
    type: str
    help: str
    many: bool = False


@dataclass(frozen=True)
class RoleSpec:
    """What a role takes.

    Attributes:
        name: as printed, in the singular.
        flow: one sentence of data flow.
        notes: what else `--help` says; paragraphs.
        examples: commands that `--help` ends with.
    """

    name: str
    flow: str
    positionals: tuple[Positional, ...] = ()
    options: tuple[Option, ...] = ()
    notes: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


class IgnoredName(NamedTuple):
    """A name that was accepted though it has no meaning here: why, and where it stands."""

    name: str
    why: str
    location: Argument


class DeprecatedName(NamedTuple):
    """A flag that an option had before: the one to use now, and where it stands."""

    name: str
    use: str
    location: Argument


class _Given(NamedTuple):
    """An option as it was given: its flag as written, its typed value, and where it stands."""

    flag: str
    value: Any
    location: Argument


@dataclass(frozen=True)
class Arguments:
    """A role's arguments: `arguments["input"]`, `arguments["stop_timeout"]`; their `locations` have the same names.

    Attributes:
        passed: what was accepted though it has no meaning here.
        deprecated: what was accepted under an older name.
        endpoints: the inputs and outputs of each name once they are checked, an input once for each of its topics.
        places: where each of the endpoints stands, by the same names.
        functions: those of inputs and outputs that name any, with the location of each.
    """

    role: str
    values: Mapping[str, Any]
    locations: Mapping[str, Sequence[Argument]] = field(repr=False)
    passed: tuple[IgnoredName, ...] = ()
    deprecated: tuple[DeprecatedName, ...] = ()
    endpoints: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)
    places: Mapping[str, Sequence[Argument]] = field(default_factory=dict, repr=False)
    functions: tuple[tuple[Argument, tuple[Wrap, ...]], ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


def parse(spec: RoleSpec, arguments: Sequence[Argument]) -> Arguments:
    """Sort arguments into a role's positionals and options.

    Raises:
        ConfigurationError: names what is unknown (and the nearest known), missing, given twice or too much, or what a
            value should have been, with file and line; a UsageError where it stands in no file.
    """
    try:
        return _sorted(spec, arguments)
    except ConfigurationError as error:
        if error.file is None:
            raise UsageError(error.message) from None
        raise


def _sorted(spec: RoleSpec, arguments: Sequence[Argument]) -> Arguments:
    known = {option.flag: option for option in spec.options}
    aliases = {alias: option for option in spec.options for alias in option.aliases}
    given: dict[str, list[_Given]] = {}
    free: list[Argument] = []
    passed: list[IgnoredName] = []
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if not argument.text.startswith("--"):
            free.append(argument)
            continue
        flag, value = _split(argument.text)
        rule = FLAGS.get(flag)
        if flag not in known and rule is not None and rule.does == PASSED:
            passed.append(IgnoredName(flag, rule.text, argument))
            continue
        option = aliases.get(flag) or known.get(rule.text if rule is not None and rule.does == READ else flag)
        if option is None:
            hint = f"expected {rule.text}" if rule is not None and rule.does != READ else _hint(flag, known)
            raise argument.error(f"unknown option {flag}; {hint}")
        if option.value == "required" and value is None:
            if not queue or queue[0].text.startswith("--"):
                raise argument.error(f"{flag} has no value; expected one on its line or the next")
            value = queue.pop(0).text
        if option.passed:
            passed.append(IgnoredName(flag, option.passed, argument))
        given.setdefault(option.name, []).append(_Given(flag, _typed(option, flag, value, argument), argument))
    return _arguments(spec, given, free, passed)


def _split(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(--[^\s=]*)(?:[\s=]\s*(.*))?", text, re.DOTALL)
    if match is None:
        return text, None
    return match[1], match[2]


def _hint(flag: str, known: Mapping[str, Option]) -> str:
    near = nearest(flag, known)
    return f"did you mean {near}?" if near else f"expected one of {', '.join(sorted(known))}"


def _typed(option: Option, flag: str, value: str | None, argument: Argument) -> Any:
    if option.value == "none":
        if value is not None:
            raise argument.error(f"{flag} takes no value; got {shown(value)}")
        return True
    if value is None:
        return ""
    try:
        return option.type(value)
    except ValueError as error:
        raise argument.error(f"{flag} {shown(value)}; expected {error}") from None


def _arguments(
    spec: RoleSpec,
    given: Mapping[str, list[_Given]],
    free: Sequence[Argument],
    passed: Sequence[IgnoredName],
) -> Arguments:
    values: dict[str, Any] = {}
    locations: dict[str, Sequence[Argument]] = {}
    deprecated: list[DeprecatedName] = []
    for option in spec.options:
        found = given.get(option.name, [])
        if len(found) > 1 and not option.repeatable:
            raise found[1].location.error(_given_twice(option, found[0].flag, found[1].flag))
        if option.repeatable:
            values[option.name] = tuple(one.value for one in found)
        else:
            values[option.name] = found[0].value if found else option.default
        locations[option.name] = [one.location for one in found]
        deprecated += [
            DeprecatedName(flag, option.flag, location) for flag, _, location in found if flag in option.aliases
        ]
    for argument in free:
        complaint = port_alone(argument.text, is_only=spec.name == "forwarder" and len(free) == 1)
        if complaint is not None:
            raise argument.error(complaint)
    left = list(free)
    for index, positional in enumerate(spec.positionals):
        later = len(spec.positionals) - index - 1
        taken = left[: len(left) - later] if positional.many else left[:1]
        if not taken:
            location = Argument("", free[-1].file if free else None)
            raise location.error(f"{positional.name.upper()} is missing; expected {usage(spec)}")
        left = left[len(taken) :]
        locations[positional.name] = taken
        values_given = tuple(argument.text for argument in taken)
        values[positional.name] = values_given if positional.many else values_given[0]
    if left:
        raise left[0].error(f"{shown(left[0].text)} is one argument too many; expected {usage(spec)}")
    return Arguments(spec.name, values, locations, tuple(passed), tuple(deprecated))


def _given_twice(option: Option, first: str, second: str) -> str:
    if first == second:
        return f"{first} is given twice; expected it once"
    if option.flag in (first, second):
        old = second if first == option.flag else first
        return f"{old} is the deprecated name of {option.flag}, which is given too; expected only {option.flag}"
    return f"{first} and {second} are both {option.flag}; expected it once"


def usage(spec: RoleSpec) -> str:
    """Return `eventlogging-<role> POSITIONAL… [options]`."""
    names = [positional.name.upper() + ("…" if positional.many else "") for positional in spec.positionals]
    return " ".join([f"eventlogging-{spec.name}", *names, "[--option…]"])
