# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Opens fsspec's file systems: one for each thread, and of several NameNodes that of the active one."""

from __future__ import annotations

import threading
from typing import Any

import fsspec
import requests
from requests.adapters import HTTPAdapter

from elworkers.config.endpoints import StoreEndpoint
from elworkers.config.options import WEBHDFS_PORT
from elworkers.config.uris import split_host
from elworkers.core.errors import ConfigurationError, RetryableError

_CONNECT_S, _ANSWER_S = 10, 120
_STANDBY = "state standby"
_NO_DRIVER = (ImportError, ValueError, TypeError)
"""What fsspec raises where there is no driver, or it lacks an option or does not know one."""


class FileSystems:
    """The drivers behind a URI, as fsspec keeps them too: for each thread its own.

    Attributes:
        has_user: whether the URI names a user, as HDFS wants one.

    Args:
        endpoint: of `endpoints.check_store`.

    Raises:
        ConfigurationError: the driver cannot be had, lacks an option or does not take one.
        RetryableError: it connects at once, and nobody answers.
    """

    def __init__(self, endpoint: StoreEndpoint) -> None:
        uri = endpoint.uri
        self._name = "webhdfs" if endpoint.is_hdfs else uri.scheme
        self._keywords = _keywords(endpoint)
        self._hosts = _hosts(endpoint)
        self._at_host = 0
        self._changing = threading.Lock()
        self._of_thread = threading.local()
        self.has_user = bool(self._keywords.get("user") or self._keywords.get("kerberos"))
        try:
            self.of_thread()
        except _NO_DRIVER as error:
            raise ConfigurationError(f"{uri.scheme} URI: {error}") from None
        except OSError as error:
            raise RetryableError(f"{uri.scheme} URI: {error}") from error

    def of_thread(self) -> Any:
        """Return this thread's driver."""
        files, at = getattr(self._of_thread, "files", None), self._at_host
        if files is None or self._of_thread.at != at:
            host = self._hosts[at] if self._hosts else {}
            files = fsspec.filesystem(self._name, **self._keywords, **host, skip_instance_cache=True)
            if isinstance(getattr(files, "session", None), requests.Session):
                for prefix in ("http://", "https://"):
                    files.session.mount(prefix, _TimeoutAdapter())
            self._of_thread.files, self._of_thread.at = files, at
        return files

    def failed(self, error: Exception) -> None:
        """Go on to the next NameNode where this thread's one is on standby or away; whoever tries again finds it."""
        if len(self._hosts) > 1 and (_STANDBY in str(error) or isinstance(error, requests.ConnectionError)):
            with self._changing:
                if self._of_thread.at == self._at_host:
                    self._at_host = (self._at_host + 1) % len(self._hosts)


class _TimeoutAdapter(HTTPAdapter):
    """fsspec waits for an answer of WebHDFS for ever; a DataNode that hangs would hold up everything."""

    def send(self, *args: Any, **keywords: Any) -> requests.Response:
        """See `HTTPAdapter.send`."""
        keywords["timeout"] = keywords.get("timeout") or (_CONNECT_S, _ANSWER_S)
        return super().send(*args, **keywords)


def _hosts(endpoint: StoreEndpoint) -> list[dict[str, Any]]:
    uri = endpoint.uri
    if not endpoint.is_hdfs:
        return []
    found = [split_host(host, WEBHDFS_PORT, str(uri)) for host in uri.hosts] or [uri.endpoint(WEBHDFS_PORT)]
    return [{"host": host, "port": port} for host, port in found]


def _keywords(endpoint: StoreEndpoint) -> dict[str, Any]:
    uri = endpoint.uri
    if endpoint.is_local:
        # Its options are ours.
        return {}
    given = {name: value for name, value in endpoint.options.items() if value is not None}
    if not endpoint.is_hdfs:
        return given
    user = {"user": uri.user} if uri.user else {}
    password = {"password": uri.password} if uri.password else {}
    return {**user, **password, **given}
