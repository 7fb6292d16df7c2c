# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decompresses what producers compressed, up to a bound: a few bytes can claim to be gigabytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import snappy
from isal import isal_zlib
from lz4.frame import LZ4FrameDecompressor

MAX_UNCOMPRESSED_BYTES = 128 * 1024 * 1024
"""Bytes of a decompressed message set; brokers take compressed ones of a megabyte, by default."""

CODEC_NAMES = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""Codec number (Kafka's protocol guide, attributes of a message) → what producers call it."""

_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16
_BLOCK = struct.Struct(">i")
_MEMBER_CHUNK_BYTES = 256
"""Bytes of a further gzip member that are decompressed first."""


def decompress(codec: int, data: bytes) -> bytes:
    """Return the decompressed bytes.

    Raises:
        ValueError: the codec is not known, or the data is damaged or larger than `MAX_UNCOMPRESSED_BYTES`.
    """
    decode = _DECODERS.get(codec)
    if decode is None:
        raise ValueError(f"is compressed by {CODEC_NAMES.get(codec, f'codec {codec}')}, which this client cannot read")
    try:
        return decode(data)
    except _TooLargeError:
        raise ValueError(f"is larger than {MAX_UNCOMPRESSED_BYTES} bytes when it is unpacked") from None
    except Exception as error:  # noqa: BLE001 - each library has its own errors, and damage leads to any of them
        raise ValueError(
            f"is damaged where it is compressed by {CODEC_NAMES[codec]} ({type(error).__name__})"
        ) from None


class _TooLargeError(Exception):
    pass


def _gzip(data: bytes) -> bytes:
    # Members may follow one another (RFC 1952); each has an end of its own. One is the rule, and is given all there is;
    # what is behind it is given a little at a time, because what a member leaves over is copied.
    chunks: list[bytes] = []
    at = size = 0
    while at < len(data):
        stream = isal_zlib.decompressobj(31)
        step = _MEMBER_CHUNK_BYTES if at else len(data)
        while not stream.eof:
            if at == len(data):
                raise EOFError
            chunk = data[at : at + step]
            output = stream.decompress(chunk, MAX_UNCOMPRESSED_BYTES - size + 1)
            size += len(output)
            if size > MAX_UNCOMPRESSED_BYTES:
                raise _TooLargeError
            chunks.append(output)
            at += len(chunk) - len(stream.unused_data)
            step *= 2
    return b"".join(chunks)


def _lz4(data: bytes) -> bytes:
    stream = LZ4FrameDecompressor()
    output: bytes = stream.decompress(data, max_length=MAX_UNCOMPRESSED_BYTES)
    if not stream.eof:
        raise _TooLargeError if len(output) >= MAX_UNCOMPRESSED_BYTES else EOFError
    return output


def _snappy(data: bytes) -> bytes:
    blocks = [data] if not data.startswith(_XERIAL) else list(_blocks(data))
    # Each block says how large it is; whoever allocates that much first has lost.
    if sum(map(_uncompressed_size, blocks)) > MAX_UNCOMPRESSED_BYTES:
        raise _TooLargeError
    return b"".join(snappy.decompress(block) for block in blocks)


def _blocks(data: bytes) -> Iterator[bytes]:
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        (size,) = _BLOCK.unpack_from(data, at)
        if size < 0 or at + 4 + size > len(data):
            raise EOFError
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _uncompressed_size(block: bytes) -> int:
    """Return the varint at the beginning of a block of Snappy: how many bytes it unpacks to."""
    size = 0
    for index, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise EOFError


_DECODERS: dict[int, Callable[[bytes], bytes]] = {1: _gzip, 2: _snappy, 3: _lz4}
