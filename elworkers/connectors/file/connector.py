# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`file:`, `stdin:` and `stdout:` URIs: lines."""

from __future__ import annotations

from elworkers.config.options import MAX_LINE_BYTES, RAW, RIGHTS
from elworkers.config.types import boolean
from elworkers.config.uris import Endpoint, Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec
from elworkers.core.errors import ConfigurationError


def _check_path(endpoint: Endpoint) -> None:
    if len(endpoint.uri.path) < 2:
        raise ConfigurationError("file URI: no path; expected file:///PATH")


CONNECTORS = (
    Connector(
        "file",
        source=SourceSpec(
            {
                "raw": RAW,
                "follow": Option(boolean, False, "go on at the end of the file, and after it was rotated"),
                "max_line_bytes": MAX_LINE_BYTES,
            },
            check=_check_path,
        ),
        sink=SinkSpec(
            {"raw": RAW, "fsync": Option(boolean, False, "let the disk confirm each batch"), **RIGHTS},
            check=_check_path,
            takes_any_line=True,
        ),
    ),
    Connector("stdin", source=SourceSpec({"raw": RAW, "max_line_bytes": MAX_LINE_BYTES})),
    Connector("stdout", sink=SinkSpec({"raw": RAW}, takes_any_line=True)),
)
