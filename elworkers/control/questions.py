# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Sends requests to supervisord, with a time limit and an error that says why there is no answer."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import xml.parsers.expat
import xmlrpc.client
from collections.abc import Callable
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from elworkers.control import daemon
from elworkers.control.control_errors import (
    ForbiddenError,
    RefusedError,
    SupervisorError,
    UnansweredError,
    UnaskedError,
)
from elworkers.control.deadline import Deadline
from elworkers.control.lock import whose
from elworkers.control.paths import Paths

_SETTLES_WITHIN_S = 1.0
"""So long a supervisord that boots, ends, or reads its configuration anew may have no socket."""

_LOOK_EVERY_S = 0.1


class Questions:
    """Asks the supervisord of a run folder.

    Args:
        places: where it is.
        timeout_s: within how many seconds it answers each question.
    """

    def __init__(self, places: Paths, timeout_s: float) -> None:
        self._places = places
        self._timeout_s = timeout_s
        self._transport: _Transport | None = None

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return the answer to one question.

        Raises:
            RefusedError: it says no.
            UnansweredError: it runs, but cannot be asked, or does not answer in time.
            SupervisorError: it does not run.
        """
        try:
            said = self._answer(method, arguments)
        except xmlrpc.client.Fault as fault:
            raise RefusedError(f"supervisord: {method}: {fault.faultString}", fault.faultString) from None
        if said is None:
            raise SupervisorError("supervisord does not run any more")
        return said

    def runs(self) -> bool:
        """Return whether it runs and answers.

        Raises:
            UnansweredError: it runs, but cannot be asked, or does not answer in time; says what to do.
        """
        return self._answer("supervisor.getState", ()) is not None

    def _answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Return the answer, or None where there is no supervisord."""
        settles = Deadline(_SETTLES_WITHIN_S)
        while True:
            try:
                return self._once(method, arguments)
            except (TimeoutError, BlockingIOError):
                raise self._unanswered(f"has not answered for {self._timeout_s:g} s") from None
            except OSError as error:
                if not self._may_come_back(error):
                    return None
                if settles.over():
                    raise self._unasked() from None
            except (http.client.HTTPException, xmlrpc.client.ProtocolError, xml.parsers.expat.ExpatError) as error:
                raise self._unanswered(f"answers something else ({type(error).__name__}: {error})") from None
            time.sleep(_LOOK_EVERY_S)

    def _once(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if self._transport is None:
            self._transport = _Transport(self._places, self._timeout_s)
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=self._transport)
        try:
            return getattr(proxy, method)(*arguments)
        except xmlrpc.client.Fault:
            raise
        except Exception:
            # Its connection remembers a request that was never answered.
            self._transport = None
            raise

    def _may_come_back(self, error: OSError) -> bool:
        """Return whether somebody is there, though the socket says no."""
        try:
            if not isinstance(error, PermissionError):
                return daemon.runs(self._places)
        except (PermissionError, psutil.AccessDenied):
            pass
        raise ForbiddenError(
            f"supervisord of {self._places.run_dir} may not be asked by this user; {whose(self._places.run_dir)}"
        ) from None

    def _unanswered(self, how: str) -> UnansweredError:
        process = daemon.find(self._places)
        if process is None:
            return UnansweredError(f"what listens on {self._places.socket} {how}")
        return UnansweredError(f"supervisord (pid {process.pid}) {how}{_frozen(process)}")

    def _unasked(self) -> UnaskedError:
        process = daemon.find(self._places)
        pid = f" (pid {process.pid})" if process else ""
        frozen = _frozen(process) if process else ""
        return UnaskedError(
            f"supervisord{pid} runs, but its socket {self._places.socket} is gone or dead, so that it cannot be asked; "
            f"`eventloggingctl start --adopt` lets it create its socket again, which restarts every program{frozen}"
        )


def _frozen(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        if process.status() == psutil.STATUS_STOPPED:
            return f"; it is stopped: `kill -CONT {process.pid}` has it go on"
    return ""


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """supervisor's own, with a time limit for each request."""

    def __init__(self, places: Paths, timeout_s: float) -> None:
        super().__init__(None, None, f"unix://{places.socket}")
        self._timeout_s = timeout_s
        self._until = Deadline(timeout_s)
        self._get_connection = lambda: _Connection(places, self._left)

    def _left(self) -> float:
        return self._until.left()

    def request(self, host: str, handler: str, request_body: str, verbose: bool = False) -> Any:
        """See `xmlrpc.client.Transport.request`."""
        self._until = Deadline(self._timeout_s)
        return super().request(host, handler, request_body, verbose)


class _Connection(http.client.HTTPConnection):
    """To a Unix socket; what has not come in time does not come."""

    def __init__(self, places: Paths, left: Callable[[], float]) -> None:
        super().__init__("localhost")
        self._places = places
        self._left = left

    def connect(self) -> None:
        """See `http.client.HTTPConnection.connect`."""
        self.sock = _Socket(self._left)
        with self._places.reachable() as path:
            self.sock.connect(path)


class _Socket(socket.socket):
    """Has one deadline for all of an answer, however it trickles in."""

    def __init__(self, left: Callable[[], float]) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._left = left
        self.settimeout(left())

    def sendall(self, data: Any, *flags: int) -> None:
        """See `socket.socket.sendall`."""
        self.settimeout(self._left())
        super().sendall(data, *flags)

    def recv_into(self, *arguments: Any) -> int:
        """See `socket.socket.recv_into`."""
        self.settimeout(self._left())
        return super().recv_into(*arguments)
