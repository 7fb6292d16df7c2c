# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores whole files in the base folder, under names that nobody else has, through fsspec."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from elworkers.config.endpoints import StoreEndpoint
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.permissions import BY_UMASK, DATA_FOLDER, Permissions
from elworkers.importer import storage_errors
from elworkers.importer.filesystems import FileSystems
from elworkers.importer.storage_errors import PathRejectedError

log = structlog.get_logger(__name__)

BLOCK_BYTES = 8 * 1024 * 1024
"""Held in memory of a file that is being written; not with WebHDFS, nor of a local one."""


class Entry(NamedTuple):
    """A file or folder in a folder: its bare name, and when it was changed last in s since the epoch (0: unknown)."""

    name: str
    changed_s: float


class Store:
    """A base folder on any file system that fsspec has a driver for; every path is relative to it.

    Of several NameNodes the one that is active is used; the answer of one on standby leads to the next.

    Threads may share one; each has a driver of its own, as fsspec keeps them too.

    Args:
        endpoint: of `endpoints.check_store`.

    Raises:
        ConfigurationError: the driver cannot be had, or does not take an option.
    """

    def __init__(self, endpoint: StoreEndpoint) -> None:
        uri = endpoint.uri
        self.name = str(uri).partition("?")[0].rstrip("/")
        self._local = endpoint.is_local
        self._hdfs = endpoint.is_hdfs
        self._base = uri.path.rstrip("/")
        self._rights = Permissions(endpoint.options["mode"], endpoint.options["group"]) if self._local else BY_UMASK
        self._folders: set[str] = set()
        self._drivers = FileSystems(endpoint)
        if self._hdfs and not self._drivers.has_user:
            log.warning(
                "no user in the URI: HDFS takes this for its guest (dr.who); expected hdfs://USER@HOST/PATH",
                code="hdfs_user_missing",
            )
        if not (self._local or self._hdfs):
            # Object stores: the first part of the path is what the authority holds.
            self._base = "/".join([*uri.hosts, uri.path.strip("/")]).rstrip("/")

    @property
    def _files(self) -> Any:
        return self._drivers.of_thread()

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

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
            self._drivers.failed(error)
            message = (
                f"{self.name}: cannot {doing} {storage_errors.message(OSError(path))}: {storage_errors.message(error)}"
            )
            if storage_errors.is_outage(error) or not self._responds():
                raise RetryableError(message) from error
            raise PathRejectedError(message) from error

    def _responds(self) -> bool:
        """Return whether the store tells something small."""
        try:
            self._files.info(self._base or "/")
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
                found = self._files.ls(self._at(folder), detail=True)
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
            return self._exists(path)

    def size(self, path: str) -> int:
        """Return the bytes of a file; -1 where there is none.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("look at", path):
            try:
                return int(self._files.info(self._at(path))["size"])
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
                content: bytes = self._files.cat_file(self._at(path))
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
            (self._stream if self._hdfs else self._fill)(path, counted())
        return size

    def _stream(self, path: str, chunks: Iterator[bytes]) -> None:
        """Send a file in one request: fsspec's own one makes an empty file and appends to it, block by block."""
        files = self._files
        response = files._call("CREATE", "PUT", self._at(path), redirect=False, overwrite="true")
        location = files._apply_proxy(response.headers["Location"])
        response = files.session.put(location, data=chunks, headers={"Content-Type": "application/octet-stream"})
        if not response.ok:
            raise OSError(f"HTTP status {response.status_code}: {storage_errors.hdfs_message(response.text)}")

    def _fill(self, path: str, chunks: Iterator[bytes]) -> None:
        file = self._files.open(self._at(path), "wb", block_size=BLOCK_BYTES)
        try:
            for chunk in chunks:
                file.write(chunk)
            if self._local:
                self._rights.of_file(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            file.close()
        except BaseException:
            # Closing would send what is left to a server that has just refused, and raise once more.
            if not self._local:
                file.closed = True
            raise

    @property
    def renames_in_one_step(self) -> bool:
        """Whether a file never has its old and its new name at the same time."""
        return self._local or self._hdfs

    def rename(self, source: str, target: str) -> bool:
        """Give a file another name; False where the name is taken or the file is gone.

        Raises:
            RetryableError: it may have its new name.
        """
        self.make_folder(target.rpartition("/")[0])
        with self._translated("rename", source):
            if self._local:
                return _renamed_locally(self._at(source), self._at(target))
            if self._hdfs:
                # fsspec's mv() does not pass on what HDFS says only in its answer: that it has not renamed.
                # That moves a file into a folder of the target's name, too.
                if self._exists(target):
                    return False
                response = self._files._call("RENAME", "PUT", self._at(source), destination=self._at(target))
                return bool(response.json()["boolean"])
            if not self._exists(source) or self._exists(target):
                return False
            self._files.mv(self._at(source), self._at(target))
            return True

    def _exists(self, path: str) -> bool:
        try:
            self._files.info(self._at(path))
        except FileNotFoundError:
            return False
        return True

    def make_folder(self, folder: str) -> None:
        """Have a folder, and those it is in.

        Raises:
            RetryableError: the store does not answer or may not.
        """
        if folder in self._folders:
            return
        with self._translated("make folder", folder):
            if self._local:
                self._make_locally(Path(self._at(folder)))
            else:
                self._files.makedirs(self._at(folder), exist_ok=True)
        if len(self._folders) > 10_000:
            self._folders.clear()
        self._folders.add(folder)

    def _make_locally(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_locally(folder.parent)
            try:
                folder.mkdir(DATA_FOLDER)
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                self._rights.of_folder(folder)

    def touch(self, path: str) -> None:
        """Have an empty file.

        Raises:
            RetryableError: the store does not answer.
        """
        self.write(path, ())

    def remove(self, path: str) -> None:
        """Have no such file.

        Raises:
            RetryableError: the store does not answer.
        """
        with self._translated("remove", path), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(path))

    def forget_folders(self) -> None:
        """Make folders anew that somebody may have removed."""
        self._folders.clear()


def _changed_s(item: dict[str, Any]) -> float:
    if "modificationTime" in item:
        return float(item["modificationTime"]) / 1000
    found = item.get("mtime") or 0.0
    return float(found) if isinstance(found, int | float) else 0.0


def _renamed_locally(source: str, target: str) -> bool:
    # link(2) refuses a name that is taken; rename(2) would replace what has it.
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except FileExistsError:
        # Of a process that ended between these two steps, both names are the same file.
        if not (Path(source).exists() and Path(source).samefile(target)):
            return False
    Path(source).unlink()
    folder = os.open(Path(target).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
