# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs instance files by the installed commands, in folders of their own. Imports nothing of elworkers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "demo" / "schemas"


class Topology:
    """A configuration folder, a run folder, and `eventloggingctl` of this environment or another on both."""

    def __init__(self, folder: Path, environment: Mapping[str, str], commands: Path = BIN) -> None:
        self.commands = commands
        self.config_dir = folder / "eventlogging.d"
        self.run_dir = folder / "run"
        self.config_dir.mkdir(parents=True)
        self.run_dir.mkdir()
        self.environment = {"EVENTLOGGING_SCHEMAS": str(SCHEMAS), **environment}
        lines = [f"{name}={value}\n" for name, value in self.environment.items()]
        (self.run_dir / "env").write_text("".join(lines), encoding="utf-8")

    def instance(self, title: str, *lines: str) -> Path:
        """Write the instance file `role/name`."""
        role, _, name = title.partition("/")
        path = self.config_dir / f"{role}s" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def ctl(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `eventloggingctl`; fails when its exit code is not the expected one."""
        folders = ["--config-dir", str(self.config_dir), "--run-dir", str(self.run_dir)]
        done = subprocess.run(
            [self.commands / "eventloggingctl", *folders, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert expect is None or done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def pids(self) -> dict[str, int]:
        """Program → pid of its parent, as the pool parents themselves say."""
        return {f"{said['role']}/{said['instance']}": said["pid"] for said in self.states()}

    def states(self) -> Iterator[dict[str, Any]]:
        """What each pool parent that is alive says of its workers."""
        for path in sorted((self.run_dir / "state").glob("*.json")):
            said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if psutil.pid_exists(said["pid"]):
                yield said

    def log(self, title: str) -> str:
        """The log of an instance."""
        path = self.run_dir / "log" / f"{title.replace('/', '-', 1)}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def owned(self, topic: str) -> dict[str, list[int]]:
        """Program → partitions of the topic that its workers were assigned last, as its log says."""
        found: dict[str, list[int]] = {}
        alive = set(self.pids())
        for path in (self.run_dir / "log").glob("*.log"):
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line) if line.startswith("{") else {}
                title = f"{entry.get('role')}/{entry.get('instance')}"
                if entry.get("event") == "partitions assigned" and entry["topic"] == topic and title in alive:
                    found[title] = entry["partitions"]
        return found

    def complaints(self) -> Iterator[str]:
        """What the instances logged as warnings and errors, and every line that is none of the log's."""
        for path in sorted((self.run_dir / "log").glob("*.log")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                entry = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
                if entry.get("level") not in ("debug", "info"):
                    yield f"{path.name}: {line}"

    def shutdown(self) -> None:
        """End everything; fails when a process is left."""
        self.ctl("shutdown", expect=None)
        left = processes(str(self.run_dir))
        assert not left, f"left running: {left}"


def says_that_it_works(role: str) -> str:
    """A shell script's lines that write the state of a role's instance, as its pool parent does."""
    said = """{"pid": %d, "wanted": 1, "workers": [{"pid": %d, "state": "running"}]}"""
    return f"""printf '{said}' $$ $$ > "$EVENTLOGGING_RUN_DIR/state/{role}-${{1##*/}}.json"\n"""


def free_udp_port() -> int:
    """A UDP port of 127.0.0.1 that nobody had bound a moment ago."""
    return free_port(socket.SOCK_DGRAM)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A TCP port of 127.0.0.1 that nobody had bound a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def processes(run_dir: str) -> list[psutil.Process]:
    """The live processes that work in a run folder: supervisord, pool parents, workers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == run_dir and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
