# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Compresses the lines of a staging file into the file that is stored."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import zstandard

from elworkers.importer.staging import StagingFile

_GZIP_WINDOW = 31
"""zlib's number for the largest window with gzip's header and trailer (zlib manual, deflateInit2)."""

Encode = Callable[[StagingFile], Iterable[bytes]]


class Format(NamedTuple):
    """How files are written.

    Attributes:
        suffix: what their names end with.
        encode: a staging file's content as chunks of the file.
    """

    suffix: str
    encode: Encode


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def json_lines(compression: str) -> Format:
    """Return newline-delimited JSON, the messages as they are.

    Args:
        compression: `none`, `gzip` or `zstd`.
    """
    if compression == "none":
        return Format(".json", StagingFile.chunks)
    # A compressor serves one file only.
    make: Callable[[], _Compressor] = (
        (lambda: zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW))
        if compression == "gzip"
        else (lambda: zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj())
    )
    suffix = ".json.gz" if compression == "gzip" else ".json.zst"
    return Format(suffix, lambda staging_file: _compressed(staging_file.chunks(), make()))


def _compressed(chunks: Iterable[bytes], compressor: _Compressor) -> Iterator[bytes]:
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
