# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Compiles a JSON schema into a validator of events: checked, and strict where the original was."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn

import jsonschema
from jsonschema import exceptions, validators
from referencing import Registry
from referencing import exceptions as referencing_exceptions

from elworkers.core.errors import InvalidEventError, InvalidSchemaError

_SHOWN = 200
_LEVELS = 20
"""Of an event, that any schema can be asked about; one that goes deeper than Python can for these has a loop."""


def _retrieve(uri: str) -> NoReturn:
    raise referencing_exceptions.NoSuchResource(ref=uri)  # type: ignore[call-arg]


_REGISTRY: Registry[Any] = Registry(retrieve=_retrieve)  # type: ignore[call-arg]
"""Knows no other document: a `$ref` never goes over the network."""

_DRAFTS = {
    jsonschema.Draft3Validator: 3,
    jsonschema.Draft4Validator: 4,
    jsonschema.Draft6Validator: 6,
    jsonschema.Draft7Validator: 7,
    jsonschema.Draft201909Validator: 2019,
    jsonschema.Draft202012Validator: 2020,
}
_BY_NAME = {str(cls.META_SCHEMA.get("$id") or cls.META_SCHEMA.get("id")).rstrip("#"): cls for cls in _DRAFTS}
"""What `$schema` names, without the fragment that may be empty."""


_LATEST_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class _Schema(dict[str, Any]):
    """A whole schema, as `jsonschema` is given it.

    Attributes:
        failing: properties that may be wrong, where it is known that all others are right.
    """

    failing: Container[str] | None = None


@lru_cache
def _checking_only_failing(cls: Any) -> Any:
    """Return the same class, but that it looks only at failing properties: each right one would take 3 µs."""
    original = cls.VALIDATORS["properties"]

    def properties(validator: Any, given: Mapping[str, Any], instance: Any, schema: Any) -> Iterable[Any]:
        failing = schema.failing if isinstance(schema, _Schema) else None
        if failing is not None and isinstance(instance, dict):
            given = {name: inner for name, inner in given.items() if name in failing or name not in instance}
        return original(validator, given, instance, schema) or ()

    return validators.extend(cls, {"properties": properties})  # type: ignore[no-untyped-call]


class CompiledSchema:
    """One revision of a schema.

    Attributes:
        name, revision: which one.
        source: the schema as it was read.
        strict: the same, closed to other properties unless it allows them; what events are validated by.
        draft: 3 to 7, or the year of a later one.
        used: since somebody last set it to False.

    Raises:
        InvalidSchemaError: the schema is itself invalid, whatever it is that it makes the libraries raise.
    """

    def __init__(self, name: str, revision: int, source: Mapping[str, Any]) -> None:
        self.name = name
        self.revision = revision
        self.source = source
        self.strict = strict = _Schema(source)
        self.used = True
        strict.setdefault("additionalProperties", False)
        cls = self._class(strict)
        self.draft = _DRAFTS[cls]
        try:
            if "$schema" in strict:
                strict["$schema"] = cls.ID_OF(cls.META_SCHEMA)
            cls.check_schema(strict)
            self._validator = _checking_only_failing(cls)(strict, registry=_REGISTRY)
        except exceptions.SchemaError as error:
            raise self._invalid(f"{_path(error.absolute_path)}: {_cut(error.message)}") from None
        except Exception as error:  # noqa: BLE001 - there is no list of what a schema can make a validator raise
            raise self._invalid(_shown(error)) from None

    def _class(self, schema: Mapping[str, Any]) -> Any:
        named = schema.get("$schema")
        if named is None:
            return jsonschema.Draft3Validator
        if not isinstance(named, str):
            raise self._invalid(f"$schema {_cut(repr(named))} is no draft; expected a string such as {_LATEST_DRAFT!r}")
        # The drafts' names are those of http; people write https, as for any other address.
        name = (
            named.strip().removesuffix("#").replace("https://json-schema.org/draft-0", "http://json-schema.org/draft-0")
        )
        found = _BY_NAME.get(name) or _BY_NAME.get(name.replace("http://", "https://", 1))
        if found is None:
            near = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.0)[0]
            raise self._invalid(f"$schema {_cut(repr(named))} is no draft that is known; the nearest is {near}#")
        return found

    def _invalid(self, why: str) -> InvalidSchemaError:
        return InvalidSchemaError(f"the schema {self.name} of revision {self.revision} is itself invalid: {why}")

    def validate(self, instance: Any, where: str, failing: Container[str] | None = None) -> None:
        """Validate an instance.

        Args:
            instance: JSON as Python has it.
            where: what the path of a field in the message begins with.
            failing: the only ones of its properties that may be wrong, where that is known.

        Raises:
            InvalidEventError: names the field and what was expected.
            InvalidSchemaError: the schema makes the validator raise.
        """
        self.strict.failing = failing
        try:
            error = _best(self._validator.iter_errors(instance))
        except referencing_exceptions.Unresolvable as error_in_schema:
            reason = f"$ref {_cut(str(error_in_schema.ref))} leads out of the schema"
            raise self._invalid(reason) from None
        except ArithmeticError as error_in_event:
            # Such as an integer of 400 digits where a multiple of 0.1 is wanted: the schema decides on all others.
            why = f"{where}: a number cannot be validated: {_shown(error_in_event)}"
            raise InvalidEventError(why, "validation") from None
        except Exception as error_in_schema:  # noqa: BLE001 - what check_schema lets pass, such as an unknown type
            if isinstance(error_in_schema, RecursionError) and _is_deeper(instance, _LEVELS):
                raise InvalidEventError(f"{where}: nested too deeply to be validated", "validation") from None
            raise self._invalid(_shown(error_in_schema)) from None
        if error is not None:
            path = ".".join([where, *map(str, error.absolute_path)])
            raise InvalidEventError(f"{path}: {_cut(error.message)}", "validation")


def _best(errors: Iterator[Any]) -> Any:
    """Return what `exceptions.best_match` would, which takes long, only if there is something to choose from."""
    first, second = next(errors, None), next(errors, None)
    if first is None or (second is None and not first.context):
        return first
    return exceptions.best_match(chain((first,), (second,) if second is not None else (), errors))


def _shown(error: Exception) -> str:
    if isinstance(error, exceptions.UnknownType):
        # Its own message is the whole schema and the whole event, over many lines.
        return f"there is no type {_cut(repr(error.type))}"
    if isinstance(error, re.error):
        return f"{_cut(repr(error.pattern))} is no regular expression: {error}"
    return f"{type(error).__name__}: {_cut(' '.join(str(error).split()))}"


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _path(path: Iterable[Any]) -> str:
    return ".".join(map(str, path)) or "top level"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
