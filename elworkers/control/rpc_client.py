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
    AccessDeniedError,
    FaultError,
    NoSocketError,
    SupervisorError,
    UnreachableError,
)
from elworkers.control.deadline import Deadline
from elworkers.control.lock import owner_hint
from elworkers.control.paths import Paths

_SOCKET_GRACE_S = 1.0
"""Time for which a supervisord that boots, ends, or rereads its configuration may have no socket."""

_POLL_INTERVAL_S = 0.1


class RpcClient:
    """Asks the supervisord of a run folder.

    Args:
        paths: where it is.
        timeout_s: within how many seconds it answers each question.
    """

    def __init__(self, paths: Paths, timeout_s: float) -> None:
        self._paths = paths
        self._timeout_s = timeout_s
        self._transport: _Transport | None = None

    def call(self, method: str, *arguments: Any) -> Any:
        """Return the answer to one question.

        Raises:
            FaultError: it says no.
            UnreachableError: it runs, but cannot be asked, or does not answer in time.
            SupervisorError: it does not run.
        """
        try:
            answer = self._answer(method, arguments)
        except xmlrpc.client.Fault as fault:
            raise FaultError(f"supervisord: {method}: {fault.faultString}", fault.faultString) from None
        if answer is None:
            raise SupervisorError("supervisord does not run any more")
        return answer

    def runs(self) -> bool:
        """Return whether it runs and answers.

        Raises:
            UnreachableError: it runs, but cannot be asked, or does not answer in time; says what to do.
        """
        return self._answer("supervisor.getState", ()) is not None

    def _answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Return the answer, or None where there is no supervisord."""
        grace = Deadline(_SOCKET_GRACE_S)
        while True:
            try:
                return self._once(method, arguments)
            except (TimeoutError, BlockingIOError):
                raise self._unreachable(f"has not answered for {self._timeout_s:g} s") from None
            except OSError as error:
                if not self._may_come_back(error):
                    return None
                if grace.over():
                    raise self._no_socket() from None
            except (http.client.HTTPException, xmlrpc.client.ProtocolError, xml.parsers.expat.ExpatError) as error:
                raise self._unreachable(f"gives an unexpected answer ({type(error).__name__}: {error})") from None
            time.sleep(_POLL_INTERVAL_S)

    def _once(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if self._transport is None:
            self._transport = _Transport(self._paths, self._timeout_s)
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
        """Return whether supervisord runs though its socket does not answer."""
        try:
            if not isinstance(error, PermissionError):
                return daemon.runs(self._paths)
        except (PermissionError, psutil.AccessDenied):
            pass
        raise AccessDeniedError(
            f"supervisord of {self._paths.run_dir} may not be controlled by this user; "
            f"{owner_hint(self._paths.run_dir)}"
        ) from None

    def _unreachable(self, how: str) -> UnreachableError:
        process = daemon.find(self._paths)
        if process is None:
            return UnreachableError(f"the process that listens on {self._paths.socket} {how}")
        return UnreachableError(f"supervisord (pid {process.pid}) {how}{_frozen(process)}")

    def _no_socket(self) -> NoSocketError:
        process = daemon.find(self._paths)
        pid = f" (pid {process.pid})" if process else ""
        frozen = _frozen(process) if process else ""
        return NoSocketError(
            f"supervisord{pid} runs, but its socket {self._paths.socket} is missing or dead; "
            f"`eventloggingctl start --adopt` makes it create the socket again, which restarts every program{frozen}"
        )


def _frozen(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        if process.status() == psutil.STATUS_STOPPED:
            return f"; it is suspended: `kill -CONT {process.pid}` resumes it"
    return ""


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """supervisor's own, with a time limit for each request."""

    def __init__(self, paths: Paths, timeout_s: float) -> None:
        super().__init__(None, None, f"unix://{paths.socket}")
        self._timeout_s = timeout_s
        self._until = Deadline(timeout_s)
        self._get_connection = lambda: _Connection(paths, self._left)

    def _left(self) -> float:
        return self._until.left()

    def request(self, host: str, handler: str, request_body: str, verbose: bool = False) -> Any:
        """See `xmlrpc.client.Transport.request`."""
        self._until = Deadline(self._timeout_s)
        return super().request(host, handler, request_body, verbose)


class _Connection(http.client.HTTPConnection):
    """To a Unix socket; what has not come in time does not come."""

    def __init__(self, paths: Paths, left: Callable[[], float]) -> None:
        super().__init__("localhost")
        self._paths = paths
        self._left = left

    def connect(self) -> None:
        """See `http.client.HTTPConnection.connect`."""
        self.sock = _Socket(self._left)
        with self._paths.reachable() as path:
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
