# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a command so that it survives a standard output that is closed, full or not UTF-8.

A pipe whose reader has gone (`status | head`) must not end a command between the stop and the start of an instance.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from elworkers.core.passwords import guard_tracebacks


class _TolerantStream(io.FileIO):
    """Remembers the first error, and from then on takes everything without writing it."""

    error: OSError | None = None

    def write(self, data: object) -> int:
        """See `io.RawIOBase.write`."""
        view = memoryview(data)  # type: ignore[arg-type]
        if self.error is None:
            try:
                return super().write(view)
            except OSError as error:
                self.error = error
        return view.nbytes


def run(program: str, command: Callable[[], int], code_unprinted: int = 1) -> int:
    """Run a command and flush its output; the traceback of an uncaught exception shows no password.

    Args:
        program: whose errors they are.
        command: gives its exit code; may raise SystemExit, as argparse does.
        code_unprinted: the exit code where all is well, but could not be printed.

    Returns:
        the command's exit code. That a reader has gone changes nothing; any other failure of standard output is
        named on stderr and makes a 0 `code_unprinted`.
    """
    guard_tracebacks()
    for fd in range(3):
        _open_if_closed(fd)
    out, err = _TolerantStream(1, "wb", closefd=False), _TolerantStream(2, "wb", closefd=False)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(err, sys.stderr)
    try:
        try:
            code = command()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        if out.error is not None and out.error.errno != errno.EPIPE:
            print(f"{program}: standard output: {out.error.strerror}", file=sys.stderr)
            code = code or code_unprinted
        sys.stderr.flush()
        return code
    finally:
        sys.stdout, sys.stderr = before


def lost() -> bool:
    """Return whether nothing that is printed arrives any more: for commands that would go on and on."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _TolerantStream) and raw.error is not None


def _open_if_closed(fd: int) -> None:
    # Whatever is opened next would get the number of one that is closed, and be written to.
    try:
        os.fstat(fd)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


def _text(raw: _TolerantStream, before: TextIO | None) -> TextIO:
    encoding = (before.encoding if before else None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=True)
