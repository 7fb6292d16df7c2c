# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Unpacks gzip, bzip2 and zstd while a file is read.

What a file is, its first bytes say. Several packed files that were joined are read as one, as their own programs do.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import zstandard

CHUNK_BYTES = 1024
"""Bytes that are unpacked together: what they hold has to fit in memory, and may be ten thousand times as much."""

_PLAIN = ""
_GZIP = "gzip"
_MAKE: Mapping[str, Callable[[], Any]] = {
    _GZIP: lambda: zlib.decompressobj(wbits=31),
    "bzip2": bz2.BZ2Decompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_MAGIC = (
    (b"\x1f\x8b", _GZIP),
    *((b"BZh%d%b" % (level, block), "bzip2") for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    # A frame without content, which programs that pack in parallel begin with.
    *((b"%c\x2a\x4d\x18" % number, "zstd") for number in range(0x50, 0x60)),
)
_ERRORS = (zlib.error, zstandard.ZstdError, OSError, ValueError, EOFError)

ReadAt = Callable[[int, int], bytes]
"""Reads this many bytes of the file from an offset on; none if it cannot be read again, as a pipe."""


class Unpacking:
    """Unpacks one file.

    Args:
        read_at: see `ReadAt`.
        plain: whether it is known to be packed by nothing, whatever it begins with.

    Attributes:
        bytes_read: how many bytes of the file were read.
        damage: what is wrong with the file and where, so that nothing more can be had of it; empty while nothing is.
    """

    def __init__(self, read_at: ReadAt, *, plain: bool = False) -> None:
        self.bytes_read = 0
        self.damage = ""
        self._read_at = read_at
        self._head = b""
        self._packing: str | None = _PLAIN if plain else None
        self._decoder: Any = None
        self._begun_at = 0

    @property
    def packing(self) -> str:
        """What the file is packed by, such as `gzip`; empty where it is not, or nobody can tell yet."""
        return self._packing or _PLAIN

    @property
    def wants(self) -> int:
        """How many bytes to take together; 0: any number."""
        return 0 if self._packing == _PLAIN else CHUNK_BYTES

    def unpack(self, data: bytes) -> bytes:
        """Return what is packed in the next bytes of the file."""
        if self._packing is None:
            self._head += data
            self._packing = _packing_of(self._head)
            if self._packing is None:
                return b""
            data, self._head = self._head, b""
        if self._packing == _PLAIN:
            self.bytes_read += len(data)
            return data
        return self._unpacked(data)

    def end(self) -> bytes:
        """Return what is left at the end of the file; `damage` then says whether it breaks off."""
        if self._packing is None:
            self._packing = _PLAIN
            return self._head
        if self._decoder is not None and not self.damage:
            self.damage = f"the {self._packing} data breaks off at the end of the file, byte {self.bytes_read}"
        return b""

    def _unpacked(self, data: bytes) -> bytes:
        found: list[bytes] = []
        while data and not self.damage:
            if self._decoder is None:
                rest = data.lstrip(b"\0") if self._packing == _GZIP and self.bytes_read else data
                # What tapes and file systems fill up with.
                self.bytes_read += len(data) - len(rest)
                data = rest
                if not data:
                    break
                self._decoder, self._begun_at = _MAKE[self.packing](), self.bytes_read
            try:
                found.append(self._decoder.decompress(data))
            except _ERRORS as error:
                found.append(self._before_damage(data, error))
                break
            unused = self._decoder.unused_data if self._decoder.eof else b""
            self.bytes_read += len(data) - len(unused)
            if self._decoder.eof:
                self._decoder = None
            data = unused
        return b"".join(found)

    def _before_damage(self, data: bytes, error: Exception) -> bytes:
        """Return what these bytes hold before the damaged one: an error gives nothing of what was unpacked with it."""
        decoder, at = _MAKE[self.packing](), self._begun_at
        found: list[bytes] = []
        try:
            while at < self.bytes_read:
                chunk = self._read_at(at, min(CHUNK_BYTES, self.bytes_read - at))
                if not chunk:
                    break
                decoder.decompress(chunk)
                at += len(chunk)
            for byte in data if at == self.bytes_read else b"":
                found.append(decoder.decompress(bytes((byte,))))
                self.bytes_read += 1
        except _ERRORS:
            pass
        self.damage = f"the {self._packing} data is damaged at byte {self.bytes_read}: {error}"
        return b"".join(found)


def _packing_of(head: bytes) -> str | None:
    """Return what a file that begins with these bytes is packed by; None if more of them are needed to tell."""
    for magic, packing in _MAGIC:
        if head.startswith(magic):
            return packing
    return None if any(magic.startswith(head) for magic, _ in _MAGIC) else _PLAIN
