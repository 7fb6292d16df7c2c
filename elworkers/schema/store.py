# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds schemas by name and revision, in folders, the cache or the wiki."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from elworkers.core.contracts import Metrics
from elworkers.core.errors import ConfigurationError, EventTimeout, InvalidEventError, RetryableError
from elworkers.events import schema_names
from elworkers.schema.bad_schemas import BadSchemas, Key
from elworkers.schema.compile import CompiledSchema
from elworkers.schema.folder import Cache, Folder
from elworkers.schema.wiki import SchemaWiki, is_address, is_wiki

SCHEMA_WIKI = "https://meta.wikimedia.org/w/api.php"
"""Where schemas are unless configured otherwise."""

BUILT_IN = Path(__file__).parent / "bundled"
_UNKNOWN_FOR_S = 60.0
_MOST_CACHED = 2_000
"""A compiled schema holds some tens of kibibytes."""


class Repository(Protocol):
    """Where schemas are read from."""

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """Return the schema, or None where the repository does not have it.

        Raises:
            RetryableError: the repository is away.
            InvalidEventError: it has something there that is no schema, or does not give out just this one.
        """

    def has(self, name: str) -> bool:
        """Return whether the repository is known, without a request, to have a revision of this schema."""


def schema_uris(options: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return where schemas are: `--schemas`, else `EVENTLOGGING_SCHEMAS` (blank-separated), else the schema wiki."""
    return list(options) or environ.get("EVENTLOGGING_SCHEMAS", "").split() or [SCHEMA_WIKI]


class SchemaStore:
    """Schemas by name and revision. They never change, so that what is found is cached while it is used.

    A schema that cannot be used is its own fault: its events are invalid, and it is looked at again after a while.

    Args:
        uris: folders (as a path or `file:///…`) or addresses of a schema wiki's API, the preferred one first.
        cache_dir: where schemas of a wiki are cached on disk; None: nowhere.
        unknown_for_s: how long a schema that does not exist, or is itself invalid, is believed to be so.
        clock: seconds; for tests.
        metrics: where schemas that are set aside are reported.
        most: schemas that are cached in memory; beyond that, those that were not used of late are evicted.

    Raises:
        ConfigurationError: one of the URIs is none.
    """

    def __init__(
        self,
        uris: Sequence[str],
        cache_dir: Path | None = None,
        unknown_for_s: float = _UNKNOWN_FOR_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        metrics: Metrics | None = None,
        most: int = _MOST_CACHED,
    ) -> None:
        self._repositories: list[Repository] = [Folder(BUILT_IN), *(_repository(uri, cache_dir) for uri in uris)]
        self._cached: OrderedDict[Key, CompiledSchema] = OrderedDict()
        self._most = most
        self._bad = BadSchemas(unknown_for_s, clock, metrics)
        self._on_evict: list[Callable[[Key], None]] = []

    def on_evict(self, callback: Callable[[Key], None]) -> None:
        """Have this called with each name and revision that is evicted, so that what is made of it is, too."""
        self._on_evict.append(callback)

    def schema(self, name: Any, revision: Any) -> CompiledSchema:
        """Return the schema of this name and revision.

        Raises:
            InvalidEventError: there is none.
            InvalidSchemaError: it is itself invalid, or cannot be had for a reason of its own.
            RetryableError: a repository that may have it is away.
        """
        # 1.0 and True equal 1 as dictionary keys; only an integer may find the schema.
        if type(revision) is int and isinstance(name, str):
            found = self._cached.get((name, revision))
            if found is not None:
                found.used = True
                return found
        return self._load(_checked_key(name, revision))

    def has(self, name: str) -> bool:
        """Return whether there is a schema of this name, of any revision; a wiki's only if one was read before."""
        if not schema_names.is_canonical(name):
            return False
        return any(cached == name for cached, _ in self._cached) or any(one.has(name) for one in self._repositories)

    def set_aside(self, schema: CompiledSchema, why: str) -> None:
        """Have a schema that was given out be invalid for a while.

        Args:
            why: a sentence with the name of the schema.
        """
        key = (schema.name, schema.revision)
        self._bad.invalid(key, why)
        self._evict(key)

    def expire(self) -> None:
        """Forget bad schemas that no event names any more; called now and then."""
        self._bad.expire()

    def _load(self, key: Key) -> CompiledSchema:
        self._bad.raise_if_bad(key)
        name, revision = key
        try:
            found = self._fetch(name, revision)
            compiled = None if found is None else CompiledSchema(name, revision, found)
        except InvalidEventError as error:
            raise self._bad.invalid(key, error.message) from None
        except EventTimeout:
            self._bad.invalid(key, f"the schema {name} of revision {revision} takes too long to be read and compiled")
            raise
        if compiled is None:
            raise self._bad.unknown(key, f"there is no schema {name} of revision {revision}")
        # One step, wherever an event's time runs out.
        self._cached[key] = compiled
        self._bad.good(key)
        while len(self._cached) > self._most:
            self._evict_one()
        return compiled

    def _evict_one(self) -> None:
        # The second chance of page replacement: what is used again and again costs nothing where it is used.
        oldest, schema = next(iter(self._cached.items()))
        if schema.used:
            schema.used = False
            self._cached.move_to_end(oldest)
        else:
            self._evict(oldest)

    def _evict(self, key: Key) -> None:
        for callback in self._on_evict:
            callback(key)
        self._cached.pop(key, None)

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


def _checked_key(name: Any, revision: Any) -> Key:
    if not isinstance(name, str):
        raise InvalidEventError(f"schema is {_shown(name)}; expected a string", "validation")
    if not schema_names.is_canonical(name):
        raise InvalidEventError(f"schema {_shown(name)} is no name of {schema_names.EXPECTED}", "validation")
    if type(revision) is not int:
        raise InvalidEventError(f"revision is {_shown(revision)}; expected an integer", "validation")
    if not 1 <= revision < 2**63:
        raise InvalidEventError(f"revision is {_shown(revision)}; expected at least 1, below 2**63", "validation")
    return name, revision


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _repository(uri: str, cache_dir: Path | None) -> Repository:
    if is_wiki(uri):
        if not is_address(uri):
            raise ConfigurationError(
                "--schemas: the address of a schema wiki is none; expected http(s)://HOST/…/api.php"
            )
        wiki = SchemaWiki(uri)
        return wiki if cache_dir is None else Cache(cache_dir, wiki)
    path = uri.removeprefix("file://")
    if "://" in path or not path:
        raise ConfigurationError(f"--schemas {uri!r}; expected a folder, or http(s)://…/api.php of a schema wiki")
    folder = Path(path)
    try:
        exists = folder.is_dir() or folder.is_symlink()
    except OSError:
        # Who may not look at it, or whose disk is ill, finds out when it is asked.
        exists = True
    if not exists:
        raise ConfigurationError(f"--schemas {uri}: there is no such folder")
    return Folder(folder)
