# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Receives the events in the log of a running Varnish, by its own `varnishncsa`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import structlog

from elworkers.connectors.spool.listener import Arrival, Failed, LineKeeper
from elworkers.connectors.spool.raw_lines import RawLines, unescaped
from elworkers.connectors.varnish.handled_requests import HandledRequests
from elworkers.core.backoff import Backoff
from elworkers.core.errors import ConfigurationError, ElworkersError
from elworkers.core.operating_system import die_with_parent
from elworkers.core.polling import readable

_FORMAT = '%q\t%{%FT%T}t\t%h\t"%{User-agent}i"\t%{Varnish:vxid}x'
_FIELDS = 4
"""Fields of a line, without the request's number, which old versions of the program do not give."""
_CHUNK = 64 * 1024
_CHECK_AGAIN_S = 0.2
_ENDS_WITHIN_S = 3.0
_WRONG_QUERY = "Query expression error"
_COMPLAINT = 300
_BEGINS_WITHIN_S = 2.0
_MOST_EARLY = 50_000
_TWICE_WITHIN_S = 30.0
"""Longest time after the end of the process before in which a request may come that it has handled."""

log = structlog.get_logger(__name__)


class VarnishListener:
    """Runs `varnishncsa` as a child, again with growing waits when it ends; implements `listener.Listener`.

    The child begins at the end of Varnish's log: what was requested while it did not run is not seen. A process that
    takes another one's place therefore begins early: its child runs already while that one still takes everything, and
    what both have had is taken once.

    Args:
        program: path or name of `varnishncsa`.
        instance: varnishd's `-n`; empty for its default.
        query: which requests are events, a VSL query (vsl-query(7)).
        client_address: whether lines have the address; else `-`.
        max_line_bytes: what is longer is passed over, and logged.
        lines: makes the lines.

    Attributes:
        seen: what this process and the one before have handed over; None: it takes nobody's place, nor anybody its.

    Raises:
        ConfigurationError: there is no such program.
    """

    def __init__(
        self, program: str, instance: str, query: str, *, client_address: bool, max_line_bytes: int, lines: RawLines
    ) -> None:
        instance_option = ["-n", instance] if instance else []
        self._command = [found(program), *instance_option, "-q", query, "-F", _FORMAT]
        self._client_address = client_address
        self._longest = max_line_bytes
        self._lines = lines
        self.seen: HandledRequests | None = None
        self._after: int | None = None
        self._until = 0.0
        self._handover_lock = threading.Lock()
        self._early: deque[list[bytes]] = deque(maxlen=_MOST_EARLY)
        self._keeper: LineKeeper | None = None
        self._failed: Failed | None = None
        self._failure: ElworkersError | None = None
        self._attached = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._backoff = Backoff()

    def begin(self, after: int) -> None:
        """Read early, until `open`; returns as soon as nothing more is missed, or Varnish is not there.

        Args:
            after: pid of the process that still has the listener.

        Raises:
            ConfigurationError: Varnish does not understand the query.
        """
        self._after = after
        self._start_thread()
        self._attached.wait(_BEGINS_WITHIN_S)
        if isinstance(self._failure, ConfigurationError):
            raise self._failure

    def open(self, keeper: LineKeeper, failed: Failed) -> None:
        """See `listener.Listener.open`."""
        with self._handover_lock:
            self._keeper, self._failed = keeper, failed
            if self.seen is not None and self._after is not None and self.seen.load(self._after):
                self._until = time.monotonic() + _TWICE_WITHIN_S
                self._hand_over(keeper, list(self._early))
            # Otherwise nobody knows what the process before has taken of it.
            self._early.clear()
            if self._failure is not None:
                failed(self._failure)
        if self._thread is None:
            self._start_thread()

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name="varnishncsa", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                reason = self._run_child()
                self._attached.set()
                if _WRONG_QUERY in reason:
                    raise ConfigurationError(f"varnish URI: option query: {reason}; expected one as in vsl-query(7)")
                if not self._closed.is_set():
                    self._closed.wait(self._backoff.failed(reason))
        except ElworkersError as error:
            with self._handover_lock:
                self._failure = error
                if self._failed is not None:
                    self._failed(error)
            self._attached.set()

    def _run_child(self) -> str:
        try:
            child = self._start()
        except OSError as error:
            return f"{self._command[0]} cannot be started: {error.strerror}"
        log.info("varnishncsa runs", code="varnish_reader_started", pid=child.pid)
        with child:
            try:
                output = _ChildOutput(child, self._longest, self._closed)
                for lines in output.batches():
                    if not self._attached.is_set() and has_log(child.pid):
                        self._attached.set()
                    self._receive(lines)
            finally:
                child.kill()
        return f"varnishncsa ended with exit code {child.returncode}: {output.complaint or 'no words'}"

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC"},
            bufsize=0,
            # Bound to the thread that forks, which lives as long as the listener is open.
            preexec_fn=partial(die_with_parent, signal.SIGTERM, os.getpid()),  # noqa: PLW1509 - one call into the kernel
        )

    def _receive(self, lines: list[bytes]) -> None:
        found = []
        for line in lines:
            fields = line.split(b"\t")
            if len(fields) in (_FIELDS, _FIELDS + 1):
                found.append(fields)
            else:
                log.warning("a line of varnishncsa has not four fields", code="varnish_line_malformed", line=line[:200])
        with self._handover_lock:
            if self._keeper is None:
                self._early += found
            else:
                self._hand_over(self._keeper, found)

    def _hand_over(self, keeper: LineKeeper, found: list[list[bytes]]) -> None:
        if self.seen is not None and self._until and time.monotonic() > self._until:
            self._until = 0.0
            self.seen.forget_before()
        made = []
        for query, when, address, agent, *number in found:
            if self.seen is not None and number:
                if number[0] in self.seen:
                    continue
                self.seen.add(number[0])
            client = address if self._client_address else b""
            made.append(self._lines.line(unescaped(query), when, client, unescaped(agent[1:-1])))
        if made:
            keeper.keep([Arrival(made, int(time.time() * 1000))])
            self._backoff.worked()

    def close(self) -> None:
        """End the child, and hand over what it has still written."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        if self._keeper is not None and self.seen is not None:
            self.seen.save()
        self._lines.close()


def found(program: str) -> str:
    """Return the path of a program.

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


def has_log(pid: int) -> bool:
    """Return whether a `varnishncsa` has opened Varnish's log, a file in memory."""
    try:
        return b"/_.Log." in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False


class _ChildOutput:
    """The output of a child, until it ends or is to end.

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
        """Yield whole lines of standard output; those of standard error are logged, the last kept as `complaint`."""
        deadline: float | None = None
        while self._outputs and (deadline is None or time.monotonic() < deadline):
            if deadline is None and self._closed.is_set():
                self._child.terminate()
                deadline = time.monotonic() + _ENDS_WITHIN_S
            # The reader wants to know now and then, also where nothing is said.
            yield []
            for output in readable(list(self._outputs), _CHECK_AGAIN_S):
                chunk = os.read(output, _CHUNK)
                *lines, rest = (self._outputs[output] + chunk).split(b"\n")
                if not chunk:
                    del self._outputs[output]
                elif output == self._stdout:
                    yield self._complete(lines)
                    self._outputs[output] = self._bounded(rest)
                else:
                    self._complain(lines)
                    self._outputs[output] = rest[-_CHUNK:]

    def _complete(self, lines: list[bytes]) -> list[bytes]:
        if self._passing_over and lines:
            self._passing_over = False
            return lines[1:]
        return lines

    def _bounded(self, rest: bytes) -> bytes:
        if len(rest) > self._longest and not self._passing_over:
            log.warning(
                "a line of varnishncsa is too long",
                code="varnish_line_too_long",
                longer_than=self._longest,
                begins=rest[:80],
            )
            self._passing_over = True
        return b"" if self._passing_over else rest

    def _complain(self, lines: list[bytes]) -> None:
        for line in lines:
            # It draws a dot for each second that it waits for varnishd.
            message = line.decode(errors="replace").lstrip(".")
            if message:
                self.complaint = f"{self.complaint} {message}".strip()[-_COMPLAINT:]
                log.warning("varnishncsa says", code="varnish_reader_output", words=message)
