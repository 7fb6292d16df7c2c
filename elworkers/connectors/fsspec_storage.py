# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores files in any file system that fsspec has a driver for; what connectors of file systems begin with."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import fsspec
import requests
from requests.adapters import HTTPAdapter

from elworkers.core.errors import ConfigurationError, RetryableError

BLOCK_BYTES = 8 * 1024 * 1024
"""Held in memory of a file that is being written; not with WebHDFS, nor of a local one."""

_CONNECT_S, _ANSWER_S = 10, 120
_NO_DRIVER = (ImportError, ValueError, TypeError)
"""What fsspec raises where there is no driver, or it lacks an option or does not know one."""


class FsspecStorage:
    """A folder in a file system of fsspec's; implements `storage.Storage`. Each thread has a driver of its own.

    Args:
        scheme: of the URI, for errors.
        root: path of the folder.
        name: of the driver.
        options: of the driver.

    Raises:
        ConfigurationError: the driver cannot be had, lacks an option or does not take one.
        RetryableError: it connects at once, and nobody answers.
    """

    renames_in_one_step = False

    def __init__(self, scheme: str, root: str, name: str, options: Mapping[str, Any]) -> None:
        self._root = root.rstrip("/")
        self._name = name
        self._options = options
        self._of_thread = threading.local()
        try:
            _ = self.files
        except _NO_DRIVER as error:
            raise ConfigurationError(f"{scheme} URI: {error}") from None
        except OSError as error:
            raise RetryableError(f"{scheme} URI: {error}") from error

    @property
    def files(self) -> Any:
        """See `storage.Storage.files`."""
        files = getattr(self._of_thread, "files", None)
        if files is None:
            files = self._of_thread.files = self._connected(self._options)
        return files

    def _connected(self, options: Mapping[str, Any]) -> Any:
        files = fsspec.filesystem(self._name, **options, skip_instance_cache=True)
        if isinstance(getattr(files, "session", None), requests.Session):
            for prefix in ("http://", "https://"):
                files.session.mount(prefix, _TimeoutAdapter())
        return files

    def absolute(self, path: str) -> str:
        """See `storage.Storage.absolute`."""
        return f"{self._root}/{path}" if path else self._root

    def exists(self, path: str) -> bool:
        """Return whether there is such a file or folder."""
        # Not fsspec's exists(): that takes a store that does not answer for one that has no such file.
        try:
            self.files.info(self.absolute(path))
        except FileNotFoundError:
            return False
        return True

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """See `storage.Storage.write`."""
        file = self.files.open(self.absolute(path), "wb", block_size=BLOCK_BYTES)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.close()
        except BaseException:
            # Closing would send what is left to a server that has just refused, and raise once more. Some files cannot
            # be told, as those in memory; they send nothing.
            with contextlib.suppress(AttributeError):
                file.closed = True
            raise

    def rename(self, source: str, target: str) -> bool:
        """See `storage.Storage.rename`."""
        if not self.exists(source) or self.exists(target):
            return False
        self.files.mv(self.absolute(source), self.absolute(target))
        return True

    def make_folder(self, folder: str) -> None:
        """See `storage.Storage.make_folder`."""
        self.files.makedirs(self.absolute(folder), exist_ok=True)

    def failed(self, error: Exception) -> None:
        """Do nothing: there is one host."""


class _TimeoutAdapter(HTTPAdapter):
    """fsspec waits for an answer of WebHDFS for ever; a DataNode that hangs would hold up everything."""

    def send(self, *args: Any, **keywords: Any) -> requests.Response:
        """See `HTTPAdapter.send`."""
        keywords["timeout"] = keywords.get("timeout") or (_CONNECT_S, _ANSWER_S)
        return super().send(*args, **keywords)
