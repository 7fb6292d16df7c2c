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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from elworkers.control.places import Places
from elworkers.errors import ElworkersError

_BOOT_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.1

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
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def running(self) -> bool:
        """Whether it answers."""
        try:
            self._rpc.getState()
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
        pid: int = self._rpc.getPID()
        self._rpc.shutdown()
        while _alive(pid):
            time.sleep(_LOOK_EVERY_S)

    def programs(self) -> dict[str, Info]:
        """What it knows of each program (supervisord's getProcessInfo)."""
        return {info["name"]: info for info in self._rpc.getAllProcessInfo()}

    def reread(self) -> Changes:
        """Have it read its programs anew, which changes nothing that runs.

        Raises:
            SupervisorError: it cannot read one; says which.
        """
        try:
            ((added, changed, removed),) = self._rpc.reloadConfig()
        except xmlrpc.client.Fault as fault:
            raise SupervisorError(f"supervisord cannot read its programs: {fault.faultString}") from None
        return Changes(list(added), list(changed), list(removed))

    def add(self, program: str) -> None:
        """Take a program up; it is started."""
        self._ignoring(Faults.ALREADY_ADDED, self._rpc.addProcessGroup, program)

    def remove(self, program: str) -> None:
        """Forget a program that has been stopped."""
        self._ignoring(Faults.BAD_NAME, self._rpc.removeProcessGroup, program)

    def start(self, programs: Iterable[str]) -> None:
        """Start programs, and do not wait for them."""
        for program in programs:
            self._ignoring(Faults.ALREADY_STARTED, self._rpc.startProcess, program, False)

    def stop(self, programs: Iterable[str]) -> None:
        """Stop programs; returns when none of them runs."""
        names = set(programs)
        for program in sorted(names):
            self._ignoring(Faults.NOT_RUNNING, self._rpc.stopProcess, program, False)
        while any(info["pid"] for name, info in self.programs().items() if name in names):
            time.sleep(_LOOK_EVERY_S)

    def settled(self, programs: Iterable[str]) -> dict[str, Info]:
        """Wait until none of the programs is just starting, and say what became of them."""
        names = set(programs)
        while True:
            found = {name: info for name, info in self.programs().items() if name in names}
            if all(info["statename"] != "STARTING" for info in found.values()):
                return found
            time.sleep(_LOOK_EVERY_S)

    @staticmethod
    def _ignoring(code: int, call: Callable[..., Any], *arguments: Any) -> None:
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != code:
                raise SupervisorError(f"supervisord: {arguments[0]}: {fault.faultString}") from None


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
