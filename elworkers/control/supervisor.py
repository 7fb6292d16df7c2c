"""Names of programs come in; supervisord is asked over its Unix socket, and its answers go out."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from elworkers.control.places import Places
from elworkers.errors import ElworkersError

_BOOT_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.1
_LOOK_SHARE = 0.1

Info = dict[str, Any]


class SupervisorError(ElworkersError):
    """supervisord does not do what it was asked; says why."""


class Changes(NamedTuple):
    """What a reread has found, by program."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class Supervisor:
    """supervisord of one run folder."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._rpc = self._proxy()

    def _proxy(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._places.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def running(self) -> bool:
        """Whether it answers."""
        try:
            self._rpc.supervisor.getState()
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            # Its connection remembers a request that was never answered.
            self._rpc = self._proxy()
            return False
        return True

    def boot(self) -> None:
        """Start it; it starts every program by priority, which is the order of roles.

        Raises:
            SupervisorError: it does not answer in time; says what it printed.
        """
        command = shutil.which("supervisord", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if command is None:
            raise SupervisorError("there is no supervisord beside this command nor on PATH; install `supervisor`")
        if not self._socket_answers():
            self._places.socket.unlink(missing_ok=True)
        done = subprocess.run(
            [command, "-c", str(self._places.supervisord_conf)], capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + _BOOT_WITHIN_S
        while not self.running():
            if done.returncode or time.monotonic() > deadline:
                said = (done.stdout + done.stderr).strip().splitlines()[-3:]
                log = self._places.run_dir / "supervisord.log"
                raise SupervisorError(f"supervisord does not start (log: {log}): " + " ".join(said))
            time.sleep(_LOOK_EVERY_S)

    def _socket_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._places.socket))
            except OSError:
                return False
        return True

    def shutdown(self) -> None:
        """End it and everything below it; returns when it is gone."""
        pid: int = self._rpc.supervisor.getPID()
        self._rpc.supervisor.shutdown()
        while _alive(pid):
            time.sleep(_LOOK_EVERY_S)

    def programs(self) -> dict[str, Info]:
        """What it knows of each program (supervisord's getProcessInfo)."""
        return {info["name"]: info for info in self._rpc.supervisor.getAllProcessInfo()}

    def reread(self) -> Changes:
        """Have it read its programs anew, which changes nothing that runs.

        Raises:
            SupervisorError: it cannot read one; says which.
        """
        try:
            ((added, changed, removed),) = self._rpc.supervisor.reloadConfig()
        except xmlrpc.client.Fault as fault:
            raise SupervisorError(f"supervisord cannot read its programs: {fault.faultString}") from None
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

    def stop(self, programs: Iterable[str]) -> None:
        """Stop programs; returns when none of them runs."""
        for _ in self.stopping(programs):
            pass

    def stopping(self, programs: Iterable[str]) -> Iterator[list[str]]:
        """Stop programs; gives them, some at a time, as they have ended."""
        names = sorted(set(programs))
        self._each("stopProcess", names, False, ignoring=Faults.NOT_RUNNING)
        return self._until(names, lambda info: not info["pid"])

    def settled(self, programs: Iterable[str]) -> None:
        """Wait until none of the programs is just starting."""
        for _ in self._until(sorted(set(programs)), lambda info: info["statename"] != "STARTING"):
            pass

    def _until(self, names: list[str], done: Callable[[Info], bool]) -> Iterator[list[str]]:
        while names:
            began = time.monotonic()
            found = self._each("getProcessInfo", names, ignoring=Faults.BAD_NAME)
            ready = [name for name in names if name not in found or done(found[name])]
            if ready:
                yield ready
                names = sorted(set(names) - set(ready))
            if names:
                # Looking at hundreds of programs takes supervisord a while in which it does nothing else.
                time.sleep(max(_LOOK_EVERY_S, (time.monotonic() - began) / _LOOK_SHARE))

    def _each(self, method: str, programs: Iterable[str], *arguments: Any, ignoring: int) -> dict[str, Any]:
        """One call for all programs, however many; gives what supervisord says of each that has no such fault."""
        names = list(programs)
        calls = [{"methodName": f"supervisor.{method}", "params": [name, *arguments]} for name in names]
        answers: dict[str, Any] = {}
        for name, answer in zip(names, self._rpc.system.multicall(calls) if calls else (), strict=True):
            if not (isinstance(answer, dict) and "faultCode" in answer):
                answers[name] = answer
            elif answer["faultCode"] != ignoring:
                raise SupervisorError(f"supervisord: {name}: {answer['faultString']}")
        return answers


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
