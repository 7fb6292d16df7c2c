# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores files in a folder of this host."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from elworkers.connectors.fsspec_storage import FsspecStorage
from elworkers.core.permissions import DATA_FOLDER, Permissions


class LocalStorage(FsspecStorage):
    """A folder of this host; implements `storage.Storage`.

    Args:
        root: path of the folder.
        rights: of new files and folders.
    """

    renames_in_one_step = True

    def __init__(self, root: str, rights: Permissions) -> None:
        super().__init__("file", root, "file", {})
        self._rights = rights

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """See `storage.Storage.write`; it is on the disk by then."""
        with Path(self.absolute(path)).open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            self._rights.of_file(file.fileno())
            file.flush()
            os.fsync(file.fileno())

    def rename(self, source: str, target: str) -> bool:
        """See `storage.Storage.rename`."""
        old, new = Path(self.absolute(source)), Path(self.absolute(target))
        # link(2) refuses a name that is taken; rename(2) would replace what has it.
        try:
            os.link(old, new)
        except FileNotFoundError:
            return False
        except FileExistsError:
            # Of a process that ended between these two steps, both names are the same file.
            if not (old.exists() and old.samefile(new)):
                return False
        old.unlink()
        folder = os.open(new.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def make_folder(self, folder: str) -> None:
        """See `storage.Storage.make_folder`."""
        self._make(Path(self.absolute(folder)))

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            try:
                folder.mkdir(DATA_FOLDER)
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                self._rights.of_folder(folder)
