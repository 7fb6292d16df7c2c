# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Talks to supervisord over its Unix socket about programs by their names."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from supervisor.xmlrpc import Faults

from elworkers.control import daemon
from elworkers.control.control_errors import FaultError, StopTimeoutError, SupervisorError, UnreachableError
from elworkers.control.deadline import Deadline
from elworkers.control.paths import Paths
from elworkers.control.rpc_client import RpcClient
from elworkers.core.errors import EX_CONFIG, EX_DATAERR

_BOOT_WITHIN_S = 20.0
EXPECTED_CODES = (0, EX_DATAERR, EX_CONFIG)
"""Exit codes after which a program is not started again."""
_STARTED = ("STARTING", "RUNNING", "BACKOFF")
_YOUNG_S = 3.0
"""Age of a process that may not have had a signal yet, in s."""
_POLL_INTERVAL_S = 0.1
_POLL_SHARE = 0.1

Info = dict[str, Any]


class Changes(NamedTuple):
    """What a reread has found, by program."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class Supervisor:
    """supervisord of one run folder."""

    def __init__(self, paths: Paths, timeout_s: float) -> None:
        """Talk to the supervisord of a run folder; each request has a time limit in seconds."""
        self._paths = paths
        self._rpc = RpcClient(paths, timeout_s)

    def running(self) -> bool:
        """Return whether it runs, and answers.

        Raises:
            UnreachableError: it runs, but cannot be asked, or does not answer in time; says what to do.
        """
        return self._rpc.runs()

    def boot(self) -> None:
        """Start it; it starts every program by priority, which is the order of roles.

        Raises:
            SupervisorError: it does not answer in time; says what it printed.
        """
        command = shutil.which("supervisord", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if command is None:
            raise SupervisorError("there is no supervisord beside this command nor on PATH; install `supervisor`")
        self._paths.socket.unlink(missing_ok=True)
        log = self._paths.supervisord_log
        try:
            done = daemon.boot(self._paths, command, _BOOT_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise SupervisorError(f"supervisord has not started within {_BOOT_WITHIN_S:g} s (log: {log})") from None
        deadline = Deadline(_BOOT_WITHIN_S)
        while done.returncode or not self.running():
            if done.returncode or deadline.over():
                answer = (done.stdout + done.stderr).strip().splitlines()[-3:]
                raise SupervisorError(f"supervisord does not start (log: {log}): " + " ".join(answer))
            time.sleep(_POLL_INTERVAL_S)

    def adopt(self, deadline: Deadline, report: Callable[[str], None]) -> None:
        """Make a supervisord that has lost its socket create it again, by SIGHUP; it restarts every program.

        Raises:
            SupervisorError: its process cannot be told, or it has not done so in time.
        """
        process = daemon.find(self._paths)
        if process is None:
            raise SupervisorError(f"something holds {self._paths.supervisord_lock}, but it is no supervisord")
        report(f"supervisord (pid {process.pid}) creates its socket again, which restarts every program")
        os.kill(process.pid, signal.SIGHUP)
        while True:
            try:
                if self.running():
                    return
            except UnreachableError:
                if deadline.over():
                    raise
            if deadline.over():
                raise SupervisorError(f"supervisord (pid {process.pid}) has ended; see {self._paths.supervisord_log}")
            time.sleep(_POLL_INTERVAL_S)

    def reopen_logs(self) -> None:
        """Make it open its logs again, by SIGUSR2."""
        # One that answers has its signal handlers, without which it would end.
        os.kill(self._rpc.call("supervisor.getPID"), signal.SIGUSR2)

    def shutdown(self, deadline: Deadline | None) -> None:
        """End it and all programs; return when it has ended, or at once without a deadline.

        Raises:
            SupervisorError: it has not ended in time, but will.
        """
        pid: int = self._rpc.call("supervisor.getPID")
        self._rpc.call("supervisor.shutdown")
        while deadline is not None and _alive(pid):
            if deadline.over():
                raise SupervisorError(f"supervisord (pid {pid}) has not ended within {deadline}; it is still stopping")
            time.sleep(_POLL_INTERVAL_S)

    def programs(self) -> dict[str, Info]:
        """Return what it knows of each program (supervisord's getProcessInfo)."""
        return {info["name"]: info for info in self._rpc.call("supervisor.getAllProcessInfo")}

    def reread(self) -> Changes:
        """Make it reread its programs, which changes nothing that runs.

        Raises:
            SupervisorError: it cannot read one; says which.
        """
        try:
            ((added, changed, removed),) = self._rpc.call("supervisor.reloadConfig")
        except FaultError as error:
            raise FaultError(f"supervisord cannot read its programs: {error.fault_text}", error.fault_text) from None
        return Changes(list(added), list(changed), list(removed))

    def add(self, programs: Iterable[str]) -> None:
        """Take programs up; they are started."""
        self._each("addProcessGroup", programs, ignoring=Faults.ALREADY_ADDED)

    def remove(self, programs: Iterable[str]) -> None:
        """Forget programs that have been stopped."""
        self._each("removeProcessGroup", programs, ignoring=Faults.BAD_NAME)

    def start(self, programs: Iterable[str]) -> None:
        """Start programs, and do not wait for them."""
        self._each("startProcess", programs, False, ignoring=Faults.ALREADY_STARTED)

    def request_stop(self, programs: Iterable[str]) -> None:
        """Stop programs, and do not wait for them."""
        self._each("stopProcess", programs, False, ignoring=Faults.NOT_RUNNING)

    def stop(self, programs: Iterable[str], deadline: Deadline) -> None:
        """Stop programs; returns when none of them runs.

        Raises:
            StopTimeoutError: some have not ended in time.
        """
        for _ in self.stopping(programs, deadline):
            pass

    def signal(self, programs: Iterable[str], name: str) -> None:
        """Send the processes of programs a signal, as `USR2`."""
        self._each("signalProcess", programs, name, ignoring=Faults.NOT_RUNNING)

    def stopping(self, programs: Iterable[str], deadline: Deadline) -> Iterator[list[str]]:
        """Stop programs; gives them, some at a time, as they have ended.

        Raises:
            StopTimeoutError: some have not ended in time; supervisord kills them when their `--stop-timeout` is over.
        """
        names = sorted(set(programs))
        self.request_stop(names)
        young = time.time() - _YOUNG_S
        started: list[str] = []
        deaf: list[str] = []

        def has_ended(info: Info) -> bool:
            # One that had just died when it was asked to stop is started again all the same.
            if info["statename"] in _STARTED:
                started.append(info["name"])
            # What comes between a fork of supervisord and its exec is taken by supervisord's own handler.
            elif info["statename"] == "STOPPING" and info["start"] > young:
                deaf.append(info["name"])
            return not info["pid"] and not _will_restart(info)

        def ask_again() -> None:
            self.request_stop(started)
            self.signal(deaf, "TERM")
            started.clear()
            deaf.clear()

        late = yield from self._until(names, has_ended, deadline, ask_again)
        if late:
            raise StopTimeoutError(
                f"not ended within {deadline}: {', '.join(late)}; supervisord is still stopping them: run this again, "
                "or with a longer --wait"
            )

    def wait_until_started(self, programs: Iterable[str], deadline: Deadline) -> None:
        """Wait until none of the programs is just starting, or until the deadline."""
        for _ in self._until(sorted(set(programs)), lambda info: info["statename"] != "STARTING", deadline):
            pass

    def _until(
        self,
        names: list[str],
        done: Callable[[Info], bool],
        deadline: Deadline,
        each_time: Callable[[], None] = lambda: None,
    ) -> Generator[list[str], None, list[str]]:
        """Yield the names that are done, some at a time, and return those that are not by the deadline."""
        while names:
            began = time.monotonic()
            found = self._each("getProcessInfo", names, ignoring=Faults.BAD_NAME)
            ready = [name for name in names if name not in found or done(found[name])]
            if ready:
                yield ready
                names = sorted(set(names) - set(ready))
            if names:
                each_time()
                if deadline.over():
                    break
                # Looking at hundreds of programs takes supervisord a while in which it does nothing else.
                time.sleep(max(_POLL_INTERVAL_S, (time.monotonic() - began) / _POLL_SHARE))
        return names

    def _each(self, method: str, programs: Iterable[str], *arguments: Any, ignoring: int) -> dict[str, Any]:
        """Ask for all programs in one call, and return what supervisord says of each that has no such fault."""
        names = list(programs)
        calls = [{"methodName": f"supervisor.{method}", "params": [name, *arguments]} for name in names]
        answers: dict[str, Any] = {}
        for name, answer in zip(names, self._rpc.call("system.multicall", calls) if calls else (), strict=True):
            if not (isinstance(answer, dict) and "faultCode" in answer):
                answers[name] = answer
            elif answer["faultCode"] != ignoring:
                raise SupervisorError(f"supervisord: {name}: {answer['faultString']}")
        return answers


def _will_restart(info: Info) -> bool:
    """Whether supervisord is about to start a program that has ended otherwise than it should."""
    return bool(info["statename"] == "EXITED" and info["exitstatus"] not in EXPECTED_CODES)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
