"""Schema names and revisions come in; schemas out of folders, the wiki or the cache go out, ready to validate with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from elworkers.contracts import Metrics
from elworkers.errors import ConfigurationError, InvalidEventError, InvalidSchemaError, RetryableError
from elworkers.stages.compiled import CompiledSchema
from elworkers.stages.names import EXPECTED, is_canonical
from elworkers.stages.schemafiles import Cache, Folder
from elworkers.stages.schemawiki import SchemaWiki

SCHEMA_WIKI = "https://meta.wikimedia.org/w/api.php"
"""Where schemas are where nobody says otherwise."""

BUILT_IN = Path(__file__).parent.parent / "schemas"
_UNKNOWN_FOR_S = 60.0
_MOST_COMPILED, _MOST_UNKNOWN = 5_000, 10_000
"""Schemas that are kept; a client can name as many as it likes."""

log = structlog.get_logger(__name__)


class Repository(Protocol):
    """A place that schemas are read from."""

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """The schema, or None where the place does not have it.

        Raises:
            RetryableError: the place is away.
            InvalidEventError: it has something there that is no schema, or does not give out just this one.
        """


def schema_uris(options: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Where schemas are: `--schemas`, else `EVENTLOGGING_SCHEMAS` (blank-separated), else the schema wiki."""
    return list(options) or environ.get("EVENTLOGGING_SCHEMAS", "").split() or [SCHEMA_WIKI]


class SchemaStore:
    """Schemas by name and revision. They never change, so what is found is kept for ever.

    Args:
        uris: folders (as a path or `file:///…`) or addresses of a schema wiki's API, the preferred one first.
        cache_dir: where schemas of a wiki are kept on disk; None: nowhere.
        unknown_for_s: how long a schema that does not exist is believed not to.
        clock: seconds; for tests.
        metrics: is told which schemas are set aside.

    Raises:
        ConfigurationError: one of the URIs is none.
    """

    def __init__(
        self,
        uris: Sequence[str],
        cache_dir: Path | None = None,
        unknown_for_s: float = _UNKNOWN_FOR_S,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        self._repositories: list[Repository] = [Folder(BUILT_IN), *(_repository(uri, cache_dir) for uri in uris)]
        self._known: dict[tuple[str, int], CompiledSchema] = {}
        self._unknown: dict[tuple[str, int], tuple[float, str]] = {}
        self._unknown_for_s = unknown_for_s
        self._clock = clock
        self._metrics = metrics
        self._said: dict[tuple[str, int], str] = {}

    def schema(self, name: Any, revision: Any) -> CompiledSchema:
        """The schema of this name and revision.

        Raises:
            InvalidEventError: there is none, it cannot be had for a reason of its own, or it is itself invalid.
            RetryableError: nobody who could know can be asked now.
        """
        # 1.0 and True equal 1 as dictionary keys; only an integer may find the schema.
        if type(revision) is int and isinstance(name, str):
            found = self._known.get((name, revision))
            if found is not None:
                return found
        return self._look_up(*_checked(name, revision))

    def _look_up(self, name: str, revision: int) -> CompiledSchema:
        key = (name, revision)
        unknown = self._unknown.get(key)
        if unknown is not None and self._clock() < unknown[0]:
            raise InvalidEventError(unknown[1], "validation")
        try:
            found = self._fetch(name, revision)
            compiled = None if found is None else CompiledSchema(name, revision, found)
        except InvalidEventError as error:
            self._set_aside(key, error.message)
            raise self._remembered(key, error.message) from None
        if compiled is None:
            raise self._remembered(key, f"there is no schema {name} of revision {revision}")
        self._resume(key)
        _keep(self._known, key, compiled, _MOST_COMPILED)
        return compiled

    def _remembered(self, key: tuple[str, int], why: str) -> InvalidEventError:
        _keep(self._unknown, key, (self._clock() + self._unknown_for_s, why), _MOST_UNKNOWN)
        return InvalidEventError(why, "validation")

    def found_invalid(self, schema: CompiledSchema, error: InvalidSchemaError) -> None:
        """Say, once, that a schema which could be compiled is invalid all the same, as an event has shown."""
        self._set_aside((schema.name, schema.revision), error.message)

    def _set_aside(self, key: tuple[str, int], why: str) -> None:
        if self._said.get(key) == why:
            return
        _keep(self._said, key, why, _MOST_UNKNOWN)
        log.warning("schema set aside: its events become EventErrors", schema=key[0], revision=key[1], reason=why)
        if self._metrics is not None:
            self._metrics.set_aside("schema {}/{}".format(*key), why)

    def _resume(self, key: tuple[str, int]) -> None:
        if self._said.pop(key, None) is not None:
            log.info("schema is used again", schema=key[0], revision=key[1])
            if self._metrics is not None:
                self._metrics.resumed("schema {}/{}".format(*key))

    def _fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        away: RetryableError | None = None
        own: InvalidEventError | None = None
        for repository in self._repositories:
            try:
                found = repository.fetch(name, revision)
            except RetryableError as error:
                away = away or error
                continue
            except InvalidEventError as error:
                own = own or error
                continue
            if found is not None:
                return found
        # What is away may have it; only when it is back is it known whose fault this is.
        if away is not None:
            raise away
        if own is not None:
            raise own
        return None


def _keep(kept: dict[Any, Any], key: object, value: object, most: int) -> None:
    if key not in kept and len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


def _checked(name: Any, revision: Any) -> tuple[str, int]:
    if not isinstance(name, str):
        raise InvalidEventError(f"schema is {_shown(name)}; expected a string", "validation")
    if not is_canonical(name):
        raise InvalidEventError(f"schema {_shown(name)} is no name of {EXPECTED}", "validation")
    if type(revision) is not int:
        raise InvalidEventError(f"revision is {_shown(revision)}; expected an integer", "validation")
    if not 1 <= revision < 2**63:
        raise InvalidEventError(f"revision is {_shown(revision)}; expected at least 1", "validation")
    return name, revision


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _repository(uri: str, cache_dir: Path | None) -> Repository:
    if re.match(r"https?://", uri):
        wiki = SchemaWiki(uri)
        return wiki if cache_dir is None else Cache(cache_dir, wiki)
    path = uri.removeprefix("file://")
    if "://" in path or not path:
        raise ConfigurationError(f"--schemas {uri!r}; expected a folder, or http(s)://…/api.php of a schema wiki")
    return Folder(Path(path))
