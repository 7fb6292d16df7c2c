"""The log of a running Varnish comes in by its own `varnishncsa`; a door for the events in it goes out."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial

import structlog

from elworkers.doors.door import Arrival, Failed, Keeper
from elworkers.doors.rawline import RawLines, unescaped
from elworkers.errors import ConfigurationError, ElworkersError
from elworkers.runtime.backoff import Backoff
from elworkers.runtime.process import die_with_parent

_FORMAT = '%q\t%{%FT%T}t\t%h\t"%{User-agent}i"'
_CHUNK = 64 * 1024
_LOOK_AGAIN_S = 0.2
_ENDS_WITHIN_S = 3.0
_WRONG_QUERY = "Query expression error"
_COMPLAINT = 300

log = structlog.get_logger(__name__)


class VarnishDoor:
    """Runs `varnishncsa` as a child, again with growing waits when it ends; implements `door.Door`.

    The child begins at the end of Varnish's log: what was requested while it did not run is not seen.

    Args:
        program: path or name of `varnishncsa`.
        instance: varnishd's `-n`; empty for its default.
        query: which requests are events, a VSL query (vsl-query(7)).
        client_address: whether lines have the address; else `-`.
        max_line_bytes: what is longer is passed over, and logged.
        lines: makes the lines.

    Raises:
        ConfigurationError: there is no such program.
    """

    def __init__(
        self, program: str, instance: str, query: str, *, client_address: bool, max_line_bytes: int, lines: RawLines
    ) -> None:
        place = ["-n", instance] if instance else []
        self._command = [found(program), *place, "-q", query, "-F", _FORMAT]
        self._client_address = client_address
        self._longest = max_line_bytes
        self._lines = lines
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._backoff = Backoff()

    def open(self, keeper: Keeper, failed: Failed) -> None:
        """See `door.Door.open`."""
        self._thread = threading.Thread(target=self._run, args=(keeper, failed), name="varnishncsa", daemon=True)
        self._thread.start()

    def _run(self, keeper: Keeper, failed: Failed) -> None:
        try:
            while not self._closed.is_set():
                reason = self._until_it_ends(keeper)
                if _WRONG_QUERY in reason:
                    raise ConfigurationError(f"varnish URI: option query: {reason}; expected one as in vsl-query(7)")
                if not self._closed.is_set():
                    self._closed.wait(self._backoff.failed(reason))
        except ElworkersError as error:
            failed(error)

    def _until_it_ends(self, keeper: Keeper) -> str:
        try:
            child = self._start()
        except OSError as error:
            return f"{self._command[0]} cannot be started: {error.strerror}"
        log.info("varnishncsa runs", pid=child.pid)
        with child:
            try:
                words = Words(child, self._longest, self._closed)
                for lines in words.batches():
                    self._take(keeper, lines)
            finally:
                child.kill()
        return f"varnishncsa ended with exit code {child.returncode}: {words.complaint or 'no words'}"

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC"},
            bufsize=0,
            # Bound to the thread that forks, which lives as long as the door is open.
            preexec_fn=partial(die_with_parent, signal.SIGTERM, os.getpid()),  # noqa: PLW1509 - one call into the kernel
        )

    def _take(self, keeper: Keeper, lines: list[bytes]) -> None:
        made = []
        for line in lines:
            fields = line.split(b"\t")
            if len(fields) != 4:
                log.warning("a line of varnishncsa has not four fields", line=line[:200])
                continue
            query, when, address, agent = fields
            address = address if self._client_address else b""
            made.append(self._lines.line(unescaped(query), when, address, unescaped(agent[1:-1])))
        if made:
            keeper.keep([Arrival(made, int(time.time() * 1000))])
            self._backoff.worked()

    def close(self) -> None:
        """End the child and keep what it has still to say."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._lines.close()


def found(program: str) -> str:
    """The path of a program.

    Raises:
        ConfigurationError: there is none.
    """
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(
            f"varnish URI: {program} is not on PATH; install Varnish (Debian: varnish),"
            " or name the program by option program=/PATH/varnishncsa"
        )
    return path


class Words:
    """What a child writes, until it ends or is to end.

    Args:
        child: with pipes for both of its outputs.
        longest: bytes of a line that are held while its end is awaited; what is longer is passed over, and logged.
        closed: set when the child is to end.
    """

    def __init__(self, child: subprocess.Popen[bytes], longest: int, closed: threading.Event) -> None:
        self._child = child
        self._longest = longest
        self._closed = closed
        self._outputs = {pipe.fileno(): b"" for pipe in (child.stdout, child.stderr) if pipe is not None}
        self._stdout = next(iter(self._outputs))
        self._passing_over = False
        self.complaint = ""

    def batches(self) -> Iterator[list[bytes]]:
        """Whole lines of its standard output; those of its standard error are logged, the last kept as `complaint`."""
        deadline: float | None = None
        while self._outputs and (deadline is None or time.monotonic() < deadline):
            if deadline is None and self._closed.is_set():
                self._child.terminate()
                deadline = time.monotonic() + _ENDS_WITHIN_S
            for output in select.select(list(self._outputs), [], [], _LOOK_AGAIN_S)[0]:
                chunk = os.read(output, _CHUNK)
                *lines, rest = (self._outputs[output] + chunk).split(b"\n")
                if not chunk:
                    del self._outputs[output]
                elif output == self._stdout:
                    yield self._whole(lines)
                    self._outputs[output] = self._bounded(rest)
                else:
                    self._complain(lines)
                    self._outputs[output] = rest[-_CHUNK:]

    def _whole(self, lines: list[bytes]) -> list[bytes]:
        if self._passing_over and lines:
            self._passing_over = False
            return lines[1:]
        return lines

    def _bounded(self, rest: bytes) -> bytes:
        if len(rest) > self._longest and not self._passing_over:
            log.warning("a line of varnishncsa is too long", longer_than=self._longest, begins=rest[:80])
            self._passing_over = True
        return b"" if self._passing_over else rest

    def _complain(self, lines: list[bytes]) -> None:
        for line in lines:
            # It draws a dot for each second that it waits for varnishd.
            said = line.decode(errors="replace").lstrip(".")
            if said:
                self.complaint = f"{self.complaint} {said}".strip()[-_COMPLAINT:]
                log.warning("varnishncsa says", words=said)
