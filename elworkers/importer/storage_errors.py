# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides from a file system's error whether the store is away or rejects one path."""

from __future__ import annotations

import errno
import re

import requests

from elworkers.core.errors import RetryableError

_OUTAGES = frozenset(
    (
        errno.ENOSPC,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ETIMEDOUT,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EAGAIN,
    )
)
_OUTAGE_PATTERN = re.compile(
    r"safe mode|state standby|could only be (?:written|replicated) to 0|no live nodes|not have enough|timed out"
    r"|connection (?:refused|reset|aborted)|HTTP status 50[234]|server is too busy|shutting down|is not active"
    r"|retry later|try again later|Failed to find datanode",
    re.IGNORECASE,
)
"""What HDFS, and stores behind HTTP, say in an outage."""

_CHANGING = re.compile(
    r"\.[^\s/\"']+~[0-9]+~[0-9]+~[0-9]+|blk_[-0-9]+(?:_[0-9]+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"
    r"|\(inode [0-9]+\)|0x[0-9a-f]+"
)
_LONGEST = 600
_RPC_PORT = "Hadoop IPC port"


class PathRejectedError(RetryableError):
    """A store that answers rejects just this path; whoever else waits for the store need not wait for it.

    Attributes:
        topic, partition, begin: of what was to be put there, where that is known.
    """

    topic, partition, begin = "", 0, 0


def is_bug(error: Exception) -> bool:
    """Return whether code of this program has raised it, on its own or called back by a driver."""
    if isinstance(error, OSError):
        return False
    frame, last = error.__traceback__, ""
    while frame is not None:
        last = str(frame.tb_frame.f_globals.get("__name__", ""))
        frame = frame.tb_next
    return last.startswith("elworkers.") and not isinstance(error, KeyError)


def is_outage(error: BaseException) -> bool:
    """Return whether an error is known to say that the store is away for all paths."""
    if isinstance(error, requests.RequestException | TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno in _OUTAGES:
        return True
    return _OUTAGE_PATTERN.search(str(error)) is not None


def message(error: BaseException) -> str:
    """Return an error's message in one line, without the parts that differ between tries."""
    text = str(error)
    if _RPC_PORT in text:
        return "this is the NameNode's RPC port; expected its HTTP port (dfs.namenode.http-address, mostly 9870)"
    # HDFS puts the stack of its own code behind the cause.
    text = re.split(r"\n\s*at |\\n\\tat ", text, maxsplit=1)[0]
    text = _CHANGING.sub("…", " ".join(text.split()))
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…") or type(error).__name__
