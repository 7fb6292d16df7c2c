# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores whole files in the base folder, and tells a store that is away from one that rejects a path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from elworkers.connectors.storage import StorageEndpoint
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.importer import storage_errors
from elworkers.importer.storage_errors import PathRejectedError


class Entry(NamedTuple):
    """A file or folder in a folder: its bare name, and when it was changed last in s since the epoch (0: unknown)."""

    name: str
    changed_s: float


class Store:
    """The base folder of an importer; every path is relative to it. Threads may share one.

    Args:
        endpoint: of `registry.check_storage`.

    Raises:
        ConfigurationError: the file system cannot be had, or does not take an option.
        RetryableError: it does not answer.
    """

    def __init__(self, endpoint: StorageEndpoint) -> None:
        self.name = str(endpoint.uri).partition("?")[0].rstrip("/")
        self._storage = endpoint.spec.open(endpoint)
        self._folders: set[str] = set()

    @contextlib.contextmanager
    def _translated(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except (RetryableError, ConfigurationError):
            raise
        except Exception as error:
            # Each driver has errors of its own: requests', RuntimeError for what HDFS says, botocore's, …
            if storage_errors.is_bug(error):
                raise
            self._storage.failed(error)
            message = (
                f"{self.name}: cannot {doing} {storage_errors.message(OSError(path))}: {storage_errors.message(error)}"
            )
            if storage_errors.is_outage(error) or not self._responds():
                raise RetryableError(message) from error
            raise PathRejectedError(message) from error

    def _responds(self) -> bool:
        """Return whether the store answers a simple question."""
        try:
            self._storage.files.info(self._storage.absolute("") or "/")
        except FileNotFoundError:
            return True
        except Exception as error:  # noqa: BLE001 - see `_translated`; only whether there is one counts
            return not storage_errors.is_outage(error)
        return True

    def list(self, folder: str) -> list[Entry]:
        """Return what is in a folder, by name; nothing where there is no such folder.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("list", folder):
            try:
                found = self._storage.files.ls(self._storage.absolute(folder), detail=True)
            except FileNotFoundError:
                return []
        return sorted(Entry(str(item["name"]).rstrip("/").rpartition("/")[2], _changed_s(item)) for item in found)

    def exists(self, path: str) -> bool:
        """Return whether there is such a file or folder.

        Raises:
            RetryableError: the store does not answer.
        """
        # Not fsspec's exists(): that takes a store that does not answer for one that has no such file.
        with self._translated("look at", path):
            try:
                self._storage.files.info(self._storage.absolute(path))
            except FileNotFoundError:
                return False
        return True

    def size(self, path: str) -> int:
        """Return the bytes of a file; -1 where there is none.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("look at", path):
            try:
                return int(self._storage.files.info(self._storage.absolute(path))["size"])
            except FileNotFoundError:
                return -1

    def read(self, path: str) -> bytes:
        """Return a file's content; nothing where there is no such file.

        Of WebHDFS it may be the DataNode's word on why it cannot be read, which fsspec does not tell from content.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("read", path):
            try:
                content: bytes = self._storage.files.cat_file(self._storage.absolute(path))
            except FileNotFoundError:
                return b""
        return content

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        """Write a file under a name that nobody reads yet; return its bytes when all of it is there.

        Raises:
            RetryableError: part of it may be there.
        """
        self.make_folder(path.rpartition("/")[0])
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                size += len(chunk)
                yield chunk

        with self._translated("write", path):
            self._storage.write(path, counted())
        return size

    @property
    def renames_in_one_step(self) -> bool:
        """Whether a file never has its old and its new name at the same time."""
        return self._storage.renames_in_one_step

    def rename(self, source: str, target: str) -> bool:
        """Give a file another name; False where the name is taken or the file is gone.

        Raises:
            RetryableError: it may have its new name.
        """
        self.make_folder(target.rpartition("/")[0])
        with self._translated("rename", source):
            return self._storage.rename(source, target)

    def make_folder(self, folder: str) -> None:
        """Create a folder and its parents where they do not exist.

        Raises:
            RetryableError: the store does not answer or may not.
        """
        if folder in self._folders:
            return
        with self._translated("make folder", folder):
            self._storage.make_folder(folder)
        if len(self._folders) > 10_000:
            self._folders.clear()
        self._folders.add(folder)

    def touch(self, path: str) -> None:
        """Create an empty file.

        Raises:
            RetryableError: the store does not answer.
        """
        self.write(path, ())

    def remove(self, path: str) -> None:
        """Remove a file, if it exists.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("remove", path), contextlib.suppress(FileNotFoundError):
            self._storage.files.rm_file(self._storage.absolute(path))

    def forget_folders(self) -> None:
        """Create folders again when they are needed: somebody may have removed them."""
        self._folders.clear()


def _changed_s(item: dict[str, Any]) -> float:
    if "modificationTime" in item:
        return float(item["modificationTime"]) / 1000
    found = item.get("mtime") or 0.0
    return float(found) if isinstance(found, int | float) else 0.0
