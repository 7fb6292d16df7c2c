# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares `file:`, `stdin:` and `stdout:` URIs: lines; and `file:` as the base folder of an importer."""

from __future__ import annotations

from pathlib import Path

from elworkers.config.options import MAX_LINE_BYTES, RAW, RIGHTS
from elworkers.config.types import boolean
from elworkers.config.uris import Endpoint, Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec, Worker
from elworkers.connectors.storage import Storage, StorageSpec
from elworkers.core.capabilities import OffsetStore
from elworkers.core.contracts import Sink, Source
from elworkers.core.errors import ConfigurationError
from elworkers.core.permissions import Permissions


def _check_path(endpoint: Endpoint) -> None:
    if len(endpoint.uri.path) < 2:
        raise ConfigurationError("file URI: no path; expected file:///PATH")


def _path(endpoint: Endpoint) -> Path:
    return Path(endpoint.uri.path)


def _source(endpoint: Endpoint, worker: Worker, _offsets: OffsetStore | None) -> Source:
    return _lines(_path(endpoint), endpoint, worker)


def _standard_input(endpoint: Endpoint, worker: Worker, _offsets: OffsetStore | None) -> Source:
    return _lines(None, endpoint, worker)


def _lines(path: Path | None, endpoint: Endpoint, worker: Worker) -> Source:
    from elworkers.connectors.file.source import LinesSource

    follow, longest = endpoint.options.get("follow", False), endpoint.options["max_line_bytes"]
    return LinesSource(path, follow=follow, max_line_bytes=longest, metrics=worker.metrics)


def _sink(endpoint: Endpoint, _worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.file.sink import FileSink

    options = endpoint.options
    rights = Permissions(options["mode"], options["group"])
    return FileSink(_path(endpoint), fsync=options["fsync"], rights=rights)


def _standard_output(_endpoint: Endpoint, _worker: Worker, _raw: bool) -> Sink:
    from elworkers.connectors.file.sink import FileSink

    return FileSink(None)


def _storage(endpoint: Endpoint) -> Storage:
    from elworkers.connectors.file.storage import LocalStorage

    options = endpoint.options
    return LocalStorage(endpoint.uri.path, Permissions(options["mode"], options["group"]))


CONNECTORS = (
    Connector(
        "file",
        source=SourceSpec(
            {
                "raw": RAW,
                "follow": Option(boolean, False, "wait for new lines at the end of the file, as tail -F does"),
                "max_line_bytes": MAX_LINE_BYTES,
            },
            open=_source,
            check=_check_path,
            path=_path,
        ),
        sink=SinkSpec(
            {"raw": RAW, "fsync": Option(boolean, False, "wait until each batch is on disk (fsync)"), **RIGHTS},
            open=_sink,
            check=_check_path,
            path=_path,
            accepts_any_line=True,
        ),
        storage=StorageSpec(RIGHTS, open=_storage, check=_check_path),
    ),
    Connector("stdin", source=SourceSpec({"raw": RAW, "max_line_bytes": MAX_LINE_BYTES}, open=_standard_input)),
    Connector("stdout", sink=SinkSpec({"raw": RAW}, open=_standard_output, accepts_any_line=True)),
)
