# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Renews a pool's parent: a child checks the new configuration, then the parent executes itself again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from elworkers.core.passwords import without_passwords
from elworkers.workers import handover
from elworkers.workers.handover import Configuration, HandedOver, HandoverError

CHECK = "--check"
"""The option that has a role's command check its arguments, and end."""
_CHECKS_WITHIN_S = 60.0
_LONGEST_REASON = 1_000
_LONGEST_HEAD = 2_000


class RenewalError(Exception):
    """There is no next image; says why."""


def own_command(argv: Sequence[str]) -> list[str]:
    """Return what starts this program once more.

    A script is named, not its interpreter: the next version of it, behind a link perhaps, may have another one.

    Args:
        argv: what this process was started with, as the kernel has it (`sys.orig_argv`).
    """
    interpreter, *rest = argv
    if rest and _is_started_by(Path(rest[0]), interpreter):
        return rest
    return [sys.executable, *rest]


def _is_started_by(script: Path, interpreter: str) -> bool:
    try:
        with script.open("rb") as file:
            # pip names a long path in the second line, behind one for a shell.
            head = file.read(_LONGEST_HEAD).removeprefix(b"#!").split(b"\n")[:2]
    except OSError:
        return False
    return os.access(script, os.X_OK) and os.fsencode(interpreter) in b" ".join(head).split()


class Renewal:
    """The way from one image of a pool's parent to the next.

    Args:
        configuration: what the present one has read.
        handed: what the one before has left, if there was one.
        command: what starts this program; `own_command` by default.
    """

    def __init__(
        self, configuration: Configuration, handed: HandedOver | None = None, command: Sequence[str] | None = None
    ) -> None:
        self.configuration = configuration
        self.handed = handed
        self._command = list(command) if command else own_command(sys.orig_argv)
        self._child: subprocess.Popen[bytes] | None = None
        self._file = self._output = -1
        self._until = 0.0

    @property
    def number(self) -> int:
        """How often this process has executed itself."""
        return self.handed.renewals if self.handed else 0

    @property
    def is_checking(self) -> bool:
        """Whether a child is at it."""
        return self._child is not None

    def start_check(self, handed: HandedOver) -> None:
        """Start a child that reads the configuration as the next image would; a running one is cancelled.

        Raises:
            RenewalError: it cannot be started.
        """
        self.cancel()
        self._file, self._output = handover.write(handed), os.memfd_create("said", os.MFD_CLOEXEC)
        try:
            self._child = subprocess.Popen(
                [*self._command, CHECK],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env={**os.environ, handover.VARIABLE: str(self._file)},
                pass_fds=[self._file, *handed.descriptors()],
            )
        except OSError as error:
            self.cancel()
            raise RenewalError(f"{self._command[0]}: {error.strerror}") from error
        self._until = time.monotonic() + _CHECKS_WITHIN_S

    def check_result(self) -> Configuration | None:
        """Return what the child has read, once it is done.

        Raises:
            RenewalError: it found that the configuration cannot work, or did not come to an end.
        """
        if self._child is None:
            return None
        code = self._child.poll()
        if code is None and time.monotonic() < self._until:
            return None
        try:
            if code is None:
                raise RenewalError(f"the configuration was not read within {_CHECKS_WITHIN_S:g} s")
            if code:
                output = os.pread(self._output, os.fstat(self._output).st_size, 0).decode("utf-8", "replace").strip()
                raise RenewalError(without_passwords(output[-_LONGEST_REASON:]) or f"the check ended with {code}")
            read = handover.take(self._file).configuration
        except HandoverError as error:
            raise RenewalError(str(error)) from error
        finally:
            self.cancel()
        if read is None:
            raise RenewalError("the check has left no result")
        return read

    def cancel(self) -> None:
        """End the child, if one is at it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        for file in (self._file, self._output):
            if file >= 0:
                os.close(file)
        self._child, self._file, self._output = None, -1, -1

    def execute(self, handed: HandedOver) -> None:
        """Become the next image, with the same pid; what signals are blocked stay so.

        Raises:
            RenewalError: this image goes on.
        """
        file = handover.write(handed)
        descriptors = [file, *handed.descriptors()]
        handover.set_inheritable(descriptors, True)
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        try:
            os.execve(self._command[0], self._command, {**os.environ, handover.VARIABLE: str(file)})  # noqa: S606 - itself
        except OSError as error:
            handover.set_inheritable(descriptors, False)
            os.close(file)
            raise RenewalError(f"{self._command[0]}: {error.strerror}") from error
