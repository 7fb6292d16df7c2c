# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts, for all processes of a host, which messages were written again, for the reporter."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path

import structlog

from elworkers.core.contracts import Destination
from elworkers.core.permissions import DATA_FILE

_MOST_BYTES = 1024 * 1024
"""After which the file begins anew: reporters have read it long since."""

log = structlog.get_logger(__name__)


def path_in(run_dir: Path) -> Path:
    """Return the file of this run folder."""
    return run_dir / "repeated"


class RepeatLog:
    """A file of JSON lines `[store, schema, count]`; several processes append to it.

    Args:
        path: made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._size()

    def append(self, repeated: Counter[Destination]) -> None:
        """Add lines; a failure is logged, never raised."""
        lines = [
            json.dumps([destination.store, destination.schema, count])
            for destination, count in repeated.items()
            if destination.store
        ]
        if not lines:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, DATA_FILE)
            try:
                if os.fstat(file).st_size > _MOST_BYTES:
                    os.ftruncate(file, 0)
                os.write(file, "".join(f"{line}\n" for line in lines).encode())
            finally:
                os.close(file)
        except OSError as error:
            log.warning(
                "what was repeated cannot be told to reporters",
                code="repeats_not_reported",
                path=str(self._path),
                reason=error.strerror,
            )

    def new(self) -> Counter[Destination]:
        """Return what was appended since this was made, or asked last; lines that are none are passed over."""
        found: Counter[Destination] = Counter()
        if self._size() < self._offset:
            self._offset = 0
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return found
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            with contextlib.suppress(ValueError, TypeError):
                store, schema, count = json.loads(line)
                found[Destination(str(store), str(schema))] += int(count)
        return found

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
