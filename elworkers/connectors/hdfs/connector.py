# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `hdfs:` and `webhdfs:` URIs: the base folder of an importer."""

from __future__ import annotations

from elworkers.config.types import boolean
from elworkers.config.uris import Endpoint, Option, Options
from elworkers.connectors.connector import Connector
from elworkers.connectors.storage import Storage, StorageSpec
from elworkers.core.errors import ConfigurationError

PORT = 9870
"""Port of a NameNode's HTTP server."""

_OPTIONS: Options = {
    "user": Option(str, None, "user name to send to WebHDFS; same as USER@ before the host"),
    "kerberos": Option(boolean, None, "authenticate by Kerberos (needs the package requests-kerberos)"),
    "use_https": Option(boolean, None, "use HTTPS"),
    "token": Option(str, None, "Hadoop delegation token"),
}


def _check(endpoint: Endpoint) -> None:
    uri = endpoint.uri
    if len(uri.path) < 2 or not uri.hosts:
        missing = "host" if len(uri.path) > 1 else "path"
        raise ConfigurationError(f"{uri.scheme} URI: no {missing}; expected {uri.scheme}://NAMENODE:9870/PATH")
    uri.endpoint(PORT)


def _open(endpoint: Endpoint) -> Storage:
    from elworkers.connectors.hdfs.storage import HdfsStorage

    return HdfsStorage(endpoint, PORT)


_STORAGE = StorageSpec(_OPTIONS, open=_open, check=_check)

CONNECTORS = (Connector("hdfs", storage=_STORAGE), Connector("webhdfs", storage=_STORAGE))
