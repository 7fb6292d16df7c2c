# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sets up structlog: JSON lines for machines, readable ones on a terminal."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import threading
import warnings
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from elworkers.core.passwords import HIDDEN, SECRET_NAME, without_passwords
from elworkers.core.terminal import printable

UNCODED = "uncoded"
"""The code of an event that is logged without one, as by a connector that others have written."""


def _redact(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    entry.setdefault("code", UNCODED)
    # Time, level and event come first, for those who read the raw line.
    first = {name: entry.pop(name) for name in ("timestamp", "level", "code", "event") if name in entry}
    return cast(MutableMapping[str, Any], _shown({**first, **entry}))


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            _shown(key): HIDDEN if isinstance(key, str) and SECRET_NAME.search(key) else _shown(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item) for item in value]
    return without_passwords(value if isinstance(value, str) else repr(value))


def _line(entry: Any, **how: Any) -> str:
    """Return the entry as JSON, in which nothing is left that a terminal obeys or that stderr's encoding lacks."""
    readable = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(entry, ensure_ascii=not readable, **how)
    return printable(text)


def _harmless(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # What is no text is shown by repr, which escapes it.
    long = ("exception", "stack", "stacks")
    shown = {
        name: printable(value, keep="\n\t" if name in long else "") if isinstance(value, str) else value
        for name, value in entry.items()
    }
    # People read the sentence first.
    shown["code"] = shown.pop("code")
    return shown


class _TolerantFile:
    """A file whose disk may be full: that a line cannot be logged is no reason to end the program."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Flush the stream, and ignore what keeps it from that."""
        with contextlib.suppress(OSError):
            self._file.flush()


class _StandardLibrary(logging.Handler):
    """Hands what libraries log with the standard library over to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), code="library_message", logger=record.name
        )


def _catch_the_rest() -> None:
    """Have what Python itself prints on stderr become log lines too: a reader of JSON lines stumbles over others."""

    def log_uncaught(error_type: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        log.critical("uncaught exception", code="uncaught_exception", exc_info=(error_type, error, trace))

    def log_ignored(found: sys.UnraisableHookArgs) -> None:
        where = found.err_msg or "Exception ignored in"
        log.error(
            "exception ignored by Python",
            code="unraisable_exception",
            where=f"{where}: {found.object!r:.200}",
            exc_info=(found.exc_type, found.exc_value, found.exc_traceback),
        )

    def log_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - the same
        line: str | None = None,  # noqa: ARG001 - the same
    ) -> None:
        where = f"{filename}:{lineno}"
        log.warning(
            "a library warns", code="library_warning", warning=str(message), kind=category.__name__, where=where
        )

    log = structlog.get_logger(__name__)
    sys.excepthook = log_uncaught
    sys.unraisablehook = log_ignored
    threading.excepthook = lambda found: log_uncaught(found.exc_type, found.exc_value, found.exc_traceback)
    warnings.showwarning = log_warning


def configure(level: str = "info", **fields: Any) -> None:
    """Set up logging for this process, on stderr.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        fields: fields that every line carries, such as role, instance and worker; the host is added.
    """
    number = logging.getLevelName(level.upper())
    rendering: list[Any] = (
        # Made text before passwords are hidden: ConsoleRenderer's own stack traces show every local variable.
        [_harmless, structlog.dev.ConsoleRenderer(sort_keys=False)]
        if sys.stderr.isatty()
        else [structlog.processors.JSONRenderer(_line)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _TolerantFile(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(host=socket.gethostname(), **fields)
    _catch_the_rest()
    root = logging.getLogger()
    root.handlers = [_StandardLibrary()]
    root.setLevel(logging.WARNING)
