# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a connector does whose URIs can be the base folder of an importer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from elworkers.config.uris import Endpoint, Options


class Storage(Protocol):
    """A folder in a file system; threads may share one.

    Every path is relative to the folder. Whoever calls a method takes what it raises for an outage or a rejected path,
    except for RetryableError and ConfigurationError, which stay what they are.
    """

    @property
    def files(self) -> Any:
        """This thread's file system, an `AbstractFileSystem` of fsspec's; it is asked for what changes nothing."""

    @property
    def renames_in_one_step(self) -> bool:
        """Whether a file never has its old and its new name at the same time."""

    def absolute(self, path: str) -> str:
        """Return a path as `files` takes it; that of the folder itself for an empty one."""

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write a whole file in a folder that exists."""

    def rename(self, source: str, target: str) -> bool:
        """Give a file another name in a folder that exists; False where the name is taken or the file is gone."""

    def make_folder(self, folder: str) -> None:
        """Create a folder and its parents where they do not exist."""

    def failed(self, error: Exception) -> None:
        """Note what a method, or `files`, has raised, so that the next try may go to another host."""


def _takes_all(_endpoint: Endpoint) -> None:
    """Accept every URI: its options say enough."""


@dataclass(frozen=True)
class StorageSpec:
    """A scheme as the base folder of an importer.

    Attributes:
        options: those of its URIs; None: any name, with its value as it is written.
        open: makes it. Raises ConfigurationError where it cannot be had so, RetryableError where it does not answer.
        check: raises ConfigurationError for what the URI's text shows to be wrong; opens nothing.
    """

    options: Options | None
    open: Callable[[Endpoint], Storage]
    check: Callable[[Endpoint], None] = _takes_all


@dataclass(frozen=True)
class StorageEndpoint(Endpoint):
    """A checked base folder of an importer, with what is known of its scheme."""

    spec: StorageSpec = field(kw_only=True, repr=False)


def _open_any(endpoint: Endpoint) -> Storage:
    from elworkers.connectors.fsspec_storage import FsspecStorage

    uri = endpoint.uri
    given = {name: value for name, value in endpoint.options.items() if value is not None}
    # Of object stores the authority is the first part of the path.
    return FsspecStorage(uri.scheme, "/".join([*uri.hosts, uri.path.strip("/")]), uri.scheme, given)


OF_FSSPEC = StorageSpec(None, open=_open_any)
"""For schemes that no connector has: the file system of this name in fsspec, such as an object store."""
