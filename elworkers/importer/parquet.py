# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Writes a Parquet file from the lines of a staging file and the schemas of their events.

The columns are those of the schema's table in a database, of every revision that the staging file has events of, and at
the end `json`: the whole message of a row that the columns cannot hold, and nothing in all other rows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.core.extras import needs
from elworkers.events.columns import Column, ColumnType, columns
from elworkers.events.convert import value
from elworkers.importer.parquet_columns import StoredColumns
from elworkers.importer.staging import StagingFile, chunks_of

SchemaOf = Callable[[str, int], Mapping[str, Any]]
"""Name and revision to the JSON schema of an event; raises InvalidEventError where there is none."""

_ROWS = 5_000
_JSON = "json"
_INT64 = range(-(2**63), 2**63)


class Parquet:
    """Writes staging files as Parquet; threads may share one.

    Args:
        schema_of: where schemas are.
        compression: `none` or `zstd`, of the column chunks.
        stored_columns: the columns of earlier files; None where each file has its own.

    Raises:
        ConfigurationError: the extra parquet is not installed.
    """

    def __init__(self, schema_of: SchemaOf, compression: str, stored_columns: StoredColumns | None = None) -> None:
        needs("parquet", "--format parquet")
        import pyarrow
        import pyarrow.parquet

        self._arrow: Any = pyarrow
        self._schema_of = schema_of
        # A batch of rows is larger than all else that an importer holds.
        self._lock = threading.Lock()
        self._compression = compression
        self._stored_columns = stored_columns
        self._types = {
            ColumnType.BOOLEAN: pyarrow.bool_(),
            ColumnType.BIGINT: pyarrow.int64(),
            ColumnType.DOUBLE: pyarrow.float64(),
            ColumnType.DATETIME: pyarrow.timestamp("us"),
        }

    def encode(self, staging_file: StagingFile) -> Iterator[bytes]:
        """Yield the file's content.

        Raises:
            RetryableError: a schema cannot be asked for now, or the disk is full.
        """
        # A footer says where everything is, so that the file is made on the local disk first.
        path = staging_file.path.with_suffix(".parquet")
        try:
            with self._lock:
                self._write(staging_file, path)
            yield from chunks_of(path)
        except OSError as error:
            raise RetryableError(f"{path}: {error.strerror or error}") from error
        finally:
            path.unlink(missing_ok=True)

    def _write(self, staging_file: StagingFile, path: Path) -> None:
        wanted = self._columns(staging_file)
        if self._stored_columns is not None:
            wanted = self._stored_columns.agreed(staging_file.partition.topic, wanted)
        known = {column.path[1] for column in wanted if column.path[0] == "event"}
        fields = [(column.name, self._types.get(column.type, self._arrow.string())) for column in wanted]
        schema = self._arrow.schema([*fields, (_JSON, self._arrow.string())])
        with self._arrow.parquet.ParquetWriter(path, schema, compression=self._compression) as writer:
            rows: list[tuple[dict[str, Any], bytes]] = []
            for line in _lines(staging_file):
                rows.append((_row(line, wanted, known), line))
                if len(rows) >= _ROWS:
                    writer.write_batch(self._batch(rows, schema))
                    rows = []
            writer.write_batch(self._batch(rows, schema))

    def _batch(self, rows: Sequence[tuple[dict[str, Any], bytes]], schema: Any) -> Any:
        make = self._arrow.RecordBatch.from_pylist
        try:
            return make([row for row, _ in rows], schema=schema)
        except (ValueError, TypeError, OverflowError):
            # Text that is no Unicode (half of a surrogate pair), say: one such row holds up no other.
            if len(rows) == 1:
                return make([{_JSON: rows[0][1].decode("utf-8", "replace")}], schema=schema)
        middle = len(rows) // 2
        halves = [self._batch(some, schema) for some in (rows[:middle], rows[middle:])]
        (merged,) = self._arrow.Table.from_batches(halves).combine_chunks().to_batches()
        return merged

    def _columns(self, staging_file: StagingFile) -> list[Column]:
        named = {_named(event) for event in map(_event, _lines(staging_file)) if event is not None}
        merged: dict[str, Column] = {column.name.lower(): column for column in columns({})}
        for name, revision in sorted(known for known in named if known is not None):
            try:
                found = columns(self._schema_of(name, revision))
            except InvalidEventError:
                continue
            for column in found:
                before = merged.setdefault(column.name.lower(), column)
                if before.type is not column.type:
                    merged[column.name.lower()] = replace(before, type=ColumnType.TEXT)
        merged.pop(_JSON, None)
        return list(merged.values())


def _lines(staging_file: StagingFile) -> Iterator[bytes]:
    rest = b""
    for chunk in staging_file.chunks():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _named(event: Mapping[str, Any]) -> tuple[str, int] | None:
    name, revision = event.get("schema"), event.get("revision")
    return (name, revision) if isinstance(name, str) and type(revision) is int else None


def _row(line: bytes, wanted: Sequence[Column], known: Set[str]) -> dict[str, Any]:
    event = _event(line)
    if event is None:
        return {_JSON: line.decode("utf-8", "replace")}
    found: dict[str, Any] = {}
    fits = _held(event, known)
    for column in wanted:
        try:
            stored = value(event, column)
        except ValueError:
            fits = False
            continue
        if isinstance(stored, int) and stored not in _INT64:
            fits = False
        else:
            found[column.name] = stored
    if not fits:
        found[_JSON] = line.decode("utf-8", "replace")
    return found


def _held(event: Mapping[str, Any], known: Set[str]) -> bool:
    """Return whether there is a column for every field of the event proper, at its first level."""
    fields = event.get("event")
    return isinstance(fields, dict) and fields.keys() <= known
