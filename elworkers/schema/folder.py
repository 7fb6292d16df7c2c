# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads schemas from folders with one file for each revision; a cache on disk is one of them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import structlog
import yaml

from elworkers.core import regular_file
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.events.schema_names import is_title_of

_LARGEST = 4 * 1024 * 1024
"""Bytes of a schema file; as of an answer of the schema wiki."""

_ENDINGS = (".json", ".yaml", ".yml")

_OF_THE_DISK = frozenset((errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT))
"""Errors that no file has alone."""

log = structlog.get_logger(__name__)


class _Repository(Protocol):
    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None: ...


class Folder:
    """`<folder>/<name>/<revision>.json`, `.yaml` or `.yml`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """See `schemas.Repository.fetch`."""
        for ending in _ENDINGS:
            path = self._folder / name / f"{revision}{ending}"
            try:
                text = regular_file.read(path, _LARGEST).decode("utf-8")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._failed(path, error) from error
            except UnicodeDecodeError:
                raise InvalidEventError(f"schema {name} of revision {revision} is not UTF-8") from None
            return _loaded(text, ending, name, revision)
        return None

    def has(self, name: str) -> bool:
        """See `schemas.Repository.has`."""
        with contextlib.suppress(OSError):
            return any(path.suffix in _ENDINGS and path.is_file() for path in (self._folder / name).iterdir())
        return False

    def _failed(self, path: Path, error: OSError) -> InvalidEventError | RetryableError:
        message = f"schema file {path}: {error.strerror or error}"
        if error.errno in _OF_THE_DISK:
            return RetryableError(message)
        try:
            next(self._folder.iterdir(), None)
        except OSError:
            return RetryableError(message)
        # The folder answers, so that it is this file: a folder of its name, or an unreadable one.
        return InvalidEventError(message)


def _loaded(text: str, ending: str, name: str, revision: int) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if ending == ".json" else yaml.safe_load(text)
    except Exception as error:  # noqa: BLE001 - YAML's constructors raise whatever their values lead to
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidEventError(f"schema {name} of revision {revision} cannot be read: {first}") from None
    if not isinstance(value, dict):
        raise InvalidEventError(f"schema {name} of revision {revision} is no object")
    return value


class Cache:
    """Schemas of a schema wiki, stored on disk for ever."""

    def __init__(self, folder: Path, repository: _Repository) -> None:
        self._folder = folder
        self._repository = repository
        self._files = Folder(folder)

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """See `schemas.Repository.fetch`; a cached file that cannot be read, or has another title, is fetched again."""
        with contextlib.suppress(InvalidEventError, RetryableError):
            cached = self._files.fetch(name, revision)
            if cached is not None and is_title_of(cached.get("title"), name):
                return cached
        found = self._repository.fetch(name, revision)
        if found is not None:
            self._write(name, revision, found)
        return found

    def has(self, name: str) -> bool:
        """See `schemas.Repository.has`."""
        return self._files.has(name)

    def _write(self, name: str, revision: int, schema: Mapping[str, Any]) -> None:
        path = self._folder / name / f"{revision}.json"
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(schema), encoding="utf-8")
            scratch.replace(path)
        except OSError as error:
            log.warning("schema not cached on disk", code="schema_not_cached", path=str(path), reason=str(error))
