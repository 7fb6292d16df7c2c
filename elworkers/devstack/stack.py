# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Starts, stops and lists the servers of a stack."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elworkers.devstack import processes
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache
from elworkers.devstack.kafka import Kafka
from elworkers.devstack.part import Part
from elworkers.devstack.parts import PARTS

_ANSWERS_WITHIN_S = 90.0
_TRIES = 3


def with_companions(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts and those that come and go with them, in the order in which they start.

    Raises:
        DevstackError: there is no such part.
    """
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise DevstackError(f"there is no part {unknown[0]!r}; expected some of {', '.join(PARTS)}")
    return tuple(name for named in names for name in (named, *PARTS[named].companions))


def with_brokers(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the parts, each broker with so many of its cluster that there are `count`."""
    found: list[str] = []
    for name in names:
        found.append(name)
        part = PARTS.get(name)
        if isinstance(part, Kafka) and part.node == 1:
            found += [f"{name}-{number}" for number in range(2, count + 1)]
    return tuple(dict.fromkeys(found))


def with_needs(names: Sequence[str]) -> tuple[str, ...]:
    """Return what `with_companions` does, each after the parts that it needs.

    Raises:
        DevstackError: there is no such part.
    """
    found = with_companions(names)
    return tuple(dict.fromkeys(name for named in found for name in (*PARTS[named].needs, named)))


class PartStatus(NamedTuple):
    """One part: whether it runs, its first pid, its port."""

    part: str
    running: bool
    pid: int | None
    port: int


class Stack:
    """Servers of one folder; several stacks live side by side on ports of their own.

    Args:
        folder: holds ports, configuration, data and logs.
        cache: of downloads.
    """

    def __init__(self, folder: Path, cache: Cache | None = None) -> None:
        self.folder = folder.absolute()
        self._cache = cache or Cache()

    def up(self, *names: str, ports: Mapping[str, int] | None = None) -> None:
        """Start the parts that do not run yet; returns when all of them answer.

        Args:
            names: parts; see `parts.PARTS`.
            ports: port name → number, for those that are not to be any free one.

        Raises:
            DevstackError: one cannot be had or does not start; what this call had started is ended again.
        """
        names = with_needs(names)
        with self._locked():
            running = {name for name in names if processes.of(self.folder, name)}
            try:
                for name in names:
                    self._start(PARTS[name], ports or {})
            except BaseException:
                for name in set(names) - running:
                    self.kill(name)
                raise

    def _start(self, part: Part, given: Mapping[str, int]) -> None:
        if processes.of(self.folder, part.name):
            self._wait(part, None)
            return
        fixed = self._ports() | dict(given)
        for attempt in range(_TRIES):
            chosen = {name: fixed[name] if name in fixed else free_port() for name in part.ports}
            home = self.folder / part.name
            home.mkdir(parents=True, exist_ok=True)
            self._remember(chosen)
            try:
                command = part.prepare(home, self._ports(), self._cache)
                self._wait(part, processes.start(self.folder, part.name, command, self.log(part.name)))
            except BaseException as error:
                processes.end(processes.of(self.folder, part.name), signal.SIGKILL)
                # Somebody may have taken the port between our look and the part's own bind.
                taken = isinstance(error, DevstackError) and any(_in_use(port) for port in chosen.values())
                if not taken or attempt == _TRIES - 1 or any(name in given for name in part.ports):
                    raise
                fixed = {name: port for name, port in fixed.items() if name not in part.ports}
            else:
                return

    def _wait(self, part: Part, started: subprocess.Popen[bytes] | None) -> None:
        def answers() -> bool:
            if part.answers(self._ports()):
                return True
            if started is not None and started.poll() is not None:
                raise self._failed(part, f"ended with exit code {started.returncode} before it answered")
            return False

        self._wait_for(answers, part, "does not answer")

    def _wait_for(self, condition: Callable[[], bool], part: Part, otherwise: str) -> None:
        deadline = time.monotonic() + _ANSWERS_WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise self._failed(part, f"{otherwise} within {_ANSWERS_WITHIN_S:.0f} s")
            time.sleep(0.1)

    def _failed(self, part: Part, why: str) -> DevstackError:
        log = self.log(part.name)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        # Where Java was is not what went wrong.
        last = [line for line in lines if not line.startswith(("\tat ", "\t... "))][-5:]
        return DevstackError(f"{part.name} {why}; the end of {log}:\n  " + "\n  ".join(last))

    def start(self, name: str) -> None:
        """Start one part again, on its port and with its data."""
        self.up(name)

    def upgrade(self, *names: str) -> None:
        """Stop brokers and start them with the newest Kafka, on their data, one after another.

        Each is back, and every replica in sync, before the next one goes.

        Args:
            names: parts that are brokers.

        Raises:
            DevstackError: one is no broker that was ever started, or does not come back.
        """
        for name in names:
            broker = self._broker(name)
            if broker.upgrade(self.folder / name):
                self.stop(name)
            self.up(name)
            in_sync = functools.partial(broker.in_sync, self._ports())
            self._wait_for(in_sync, broker, "has replicas that do not come in sync")

    def finish_upgrade(self, name: str) -> None:
        """Let a cluster whose brokers have all been upgraded use what is new; there is no way back.

        Raises:
            DevstackError: it is no broker, or it refuses.
        """
        self._broker(name).finish_upgrade(self.folder / name, self._ports(), self._cache)

    def _broker(self, name: str) -> Kafka:
        part = PARTS.get(name)
        known = [one.name for one in PARTS.values() if isinstance(one, Kafka) and (self.folder / one.name).is_dir()]
        if not isinstance(part, Kafka) or name not in known:
            raise DevstackError(f"{name} is no broker of this stack; expected some of {', '.join(known) or 'none'}")
        return part

    def stop(self, name: str) -> None:
        """Stop one part cleanly; port and data are kept."""
        processes.end(processes.of(self.folder, name))

    def kill(self, name: str) -> None:
        """End one part with SIGKILL; port and data are kept."""
        processes.end(processes.of(self.folder, name), signal.SIGKILL)

    def down(self) -> int:
        """End every process of the stack, also those that a killed command left; how many there were."""
        found = processes.of(self.folder)
        processes.end(found)
        return len(found)

    def env(self) -> dict[str, str]:
        """Return `KAFKA`, `ZOOKEEPER`, `MYSQL_URL` and `WEBHDFS`, as far as the parts have been started."""
        ports = self._ports()
        known = [part for part in PARTS.values() if all(name in ports for name in part.ports)]
        return {name: value for part in known for name, value in part.env(ports).items()}

    def status(self) -> list[PartStatus]:
        """Return every part that was ever started."""
        ports = self._ports()
        found = []
        for part in PARTS.values():
            if part.ports[0] in ports:
                alive = processes.of(self.folder, part.name)
                pid = alive[0].pid if alive else None
                found.append(PartStatus(part.name, bool(alive), pid, ports[part.ports[0]]))
        return found

    def log(self, name: str) -> Path:
        """Return a part's log."""
        return self.folder / "log" / f"{name}.log"

    def _ports(self) -> dict[str, int]:
        try:
            known: dict[str, int] = json.loads((self.folder / "ports.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return known

    def _remember(self, ports: Mapping[str, int]) -> None:
        scratch = self.folder / f".ports.json.{os.getpid()}"
        scratch.write_text(json.dumps(self._ports() | dict(ports)), encoding="utf-8")
        scratch.replace(self.folder / "ports.json")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
