# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Imports functions by their names. This executes operators' own code."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from elworkers.config.wraps import Wrap
from elworkers.core.contracts import Event
from elworkers.core.errors import ConfigurationError
from elworkers.core.operating_system import die_with_parent
from elworkers.core.passwords import without_passwords
from elworkers.core.polling import readable
from elworkers.functions.builtin import BUILTIN
from elworkers.functions.finding import ImportPath, folders, locate, schemas

_LONGEST_IMPORT_S = 60.0
_LONGEST_TEXT = 500
_GOOD = b"\0"


class Function(NamedTuple):
    """A function that events go through.

    Attributes:
        name: as it was written.
        call: takes an event that nobody else has.
        decides: whether it only says if an event goes on; otherwise it gives another one, or None.
        ours: what it gives holds nothing but JSON.
    """

    name: str
    call: Callable[[Event], Any]
    decides: bool
    ours: bool = False


def loaded(wrap: Wrap, env: Mapping[str, str]) -> Function:
    """Return the function, imported if it is an operator's own.

    Args:
        wrap: names it.
        env: variables that say where modules are.

    Raises:
        ConfigurationError: it cannot be imported, or is no function; says why.
    """
    import_path = locate(wrap, env)
    if import_path is None:
        builtin = BUILTIN[wrap.function]
        call = builtin.make(schemas(wrap, builtin, env))
        return Function(wrap.function, call, wrap.scheme == "filter" or not builtin.changes, ours=True)
    sys.path += [folder for folder in folders(env) if folder not in sys.path]
    try:
        found = _imported(import_path)
    except BaseException as error:
        raise ConfigurationError(
            f"{wrap.title}: {import_path.module} cannot be imported: {error_text(error)}"
        ) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        what = "a coroutine" if callable(found) else f"of type {type(found).__name__}"
        raise ConfigurationError(f"{wrap.title}: it is {what}; expected a function that takes an event")
    return Function(wrap.function, found, wrap.scheme == "filter")


def _imported(import_path: ImportPath) -> Any:
    found = importlib.import_module(import_path.module)
    for name in import_path.name.split("."):
        found = getattr(found, name)
    return found


def error_text(error: BaseException) -> str:
    """Return what an exception of an operator's own code says, in one line and without passwords."""
    text = " ".join("".join(traceback.format_exception_only(type(error), error)).split())
    return without_passwords(text[:_LONGEST_TEXT])


def rehearse(wrap: Wrap, env: Mapping[str, str]) -> None:
    """Load a function in a process of its own, and forget it.

    A pool's parent stays as small as it is, and its next worker takes a module as it is by then.

    Raises:
        ConfigurationError: as `loaded`, and where importing takes too long or ends the process.
    """
    if locate(wrap, env) is None:
        return
    fault = _fault_of(lambda: loaded(wrap, env))
    if fault:
        raise ConfigurationError(fault if fault.startswith(wrap.title) else f"{wrap.title}: {fault}")


def _fault_of(load: Callable[[], object]) -> str:
    reads, writes = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _try(load, writes, parent)
    os.close(writes)
    try:
        return _answer(reads)
    finally:
        os.close(reads)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _try(load: Callable[[], object], writes: int, parent: int) -> None:
    """Try the import in the child, report the result, and exit."""
    answer = _GOOD
    try:
        if die_with_parent(signal.SIGKILL, parent):
            load()
    except BaseException as error:  # noqa: BLE001 - it is told, and this process ends
        answer = (str(error) if isinstance(error, ConfigurationError) else error_text(error)).encode("utf-8", "replace")
    finally:
        os.write(writes, answer)
        os._exit(0)


def _answer(reads: int) -> str:
    deadline = time.monotonic() + _LONGEST_IMPORT_S
    chunks: list[bytes] = []
    while readable([reads], deadline - time.monotonic()):
        chunk = os.read(reads, 65_536)
        if not chunk:
            break
        chunks.append(chunk)
        if chunk == _GOOD:
            return ""
    else:
        return f"importing it takes longer than {_LONGEST_IMPORT_S:g} s; expected a module that is imported at once"
    return b"".join(chunks).decode("utf-8", "replace") or "the process that imported it ended without an error message"
