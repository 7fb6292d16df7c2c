# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Stores files in HDFS by WebHDFS, through the active one of several NameNodes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

import requests
import structlog

from elworkers.config.uris import Endpoint, split_host
from elworkers.connectors.fsspec_storage import FsspecStorage

_STANDBY = "state standby"

log = structlog.get_logger(__name__)


class HdfsStorage(FsspecStorage):
    """A folder in HDFS; implements `storage.Storage`.

    Of several NameNodes the one that is active is used; the answer of one on standby leads to the next.

    Args:
        endpoint: a checked URI.
        default_port: of NameNodes that the URI names without a port.

    Raises:
        ConfigurationError: fsspec's driver cannot be had, or does not take an option.
    """

    renames_in_one_step = True

    def __init__(self, endpoint: Endpoint, default_port: int) -> None:
        uri = endpoint.uri
        self._hosts = [split_host(host, default_port, str(uri)) for host in uri.hosts]
        self._at_host = 0
        self._changing = threading.Lock()
        options = {name: value for name, value in endpoint.options.items() if value is not None}
        login = {name: value for name, value in (("user", uri.user), ("password", uri.password)) if value}
        super().__init__(uri.scheme, uri.path, "webhdfs", {**login, **options})
        if not (self._options.get("user") or self._options.get("kerberos")):
            log.warning(
                "no user in the URI: HDFS takes this for its guest (dr.who); expected hdfs://USER@HOST/PATH",
                code="hdfs_user_missing",
            )

    @property
    def files(self) -> Any:
        """See `storage.Storage.files`."""
        files, at = getattr(self._of_thread, "files", None), self._at_host
        if files is None or self._of_thread.at != at:
            host, port = self._hosts[at]
            files = self._connected({**self._options, "host": host, "port": port})
            self._of_thread.files, self._of_thread.at = files, at
        return files

    def failed(self, error: Exception) -> None:
        """Switch to the next NameNode if this thread's one is on standby or away."""
        if len(self._hosts) > 1 and (_STANDBY in str(error) or isinstance(error, requests.ConnectionError)):
            with self._changing:
                if self._of_thread.at == self._at_host:
                    self._at_host = (self._at_host + 1) % len(self._hosts)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Send a file in one request: fsspec's own one makes an empty file and appends to it, block by block."""
        files = self.files
        created = files._call("CREATE", "PUT", self.absolute(path), redirect=False, overwrite="true")
        location = files._apply_proxy(created.headers["Location"])
        response = files.session.put(location, data=chunks, headers={"Content-Type": "application/octet-stream"})
        if not response.ok:
            raise OSError(f"HTTP status {response.status_code}: {message(response.text)}")

    def rename(self, source: str, target: str) -> bool:
        """See `storage.Storage.rename`."""
        # fsspec's mv() does not pass on what HDFS says only in its answer: that it has not renamed.
        # That moves a file into a folder of the target's name, too.
        if self.exists(target):
            return False
        response = self.files._call("RENAME", "PUT", self.absolute(source), destination=self.absolute(target))
        return bool(response.json()["boolean"])


def message(answer: str) -> str:
    """Return the name of an exception of HDFS and what it says, from the body of an answer; else the body."""
    try:
        exception = json.loads(answer)["RemoteException"]
        return f"{exception['exception']}: {exception['message']}"
    except (ValueError, KeyError, TypeError):
        return answer
