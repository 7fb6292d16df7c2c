# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The wheel in an environment of its own, as somebody has it who never sees the source: install, run, uninstall."""

from __future__ import annotations

import email
import gzip
import json
import shutil
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from declared import PROJECT
from topology import ROOT, SCHEMAS, Topology, free_udp_port
from waiting import wait_for

DEADLINE_S = 30.0
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "bench", "docs")
CLIENT_SIDE = "%q %{recvFrom}s %{seqId}d %D %o %{userAgent}i"
OF_HTTP = ("connections", "listener", "replies", "request_handler", "shutdown", "uploads")
OF_EXTRAS = (
    *("elworkers.importer.", "elworkers.devserver.", "elworkers.devstack."),
    *(f"elworkers.connectors.http.{name} " for name in OF_HTTP),
)
IMPORTS = """
import importlib, pkgutil, elworkers
for module in pkgutil.walk_packages(elworkers.__path__, "elworkers."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""


class Installed(NamedTuple):
    """An environment with the wheel, and which files of it are the wheel's own."""

    folder: Path
    own: set[Path]

    def run(self, command: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of its commands, where no source is."""
        path = self.folder / "bin" / command
        return subprocess.run(
            [path, *words], cwd="/", input=stdin, capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )

    def files(self) -> set[Path]:
        """All files in the environment."""
        return {path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def pip(*words: str | Path, of: Path = Path(sys.executable)) -> None:
    """Run this environment's pip for another one; fails with what it says."""
    command = [sys.executable, "-m", "pip", "--python", of, "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    way = "pip asks the index that PIP_INDEX_URL or pip.conf names; PIP_FIND_LINKS may name a folder of wheels instead"
    assert done.returncode == 0, f"{done.stderr}\n{way}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of a copy: setuptools leaves its own things behind where it works."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, folder / "source")
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    # All that it asks for comes first, so that what it brings itself can be told from that.
    pip("install", "--no-compile", *PROJECT["dependencies"], of=python)
    made = Installed(folder, set())
    before = made.files()
    pip("install", "--no-compile", wheel, of=python)
    return Installed(folder, made.files() - before)


def test_a_processor_runs_from_standard_input_to_standard_output(installed: Installed) -> None:
    with gzip.open(ROOT / "demo" / "client-side-lines.txt.gz", "rt", encoding="utf-8") as file:
        lines = [next(file) for _ in range(20)]
    words = [CLIENT_SIDE, "stdin://", "stdout://", "--output-invalid", f"--schemas={SCHEMAS}"]
    done = installed.run("eventlogging-processor", *words, stdin="".join(lines))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    invalid = [event for event in events if event["schema"] == "EventError"]
    assert (len(events), len(invalid)) == (len(lines), 1)


def test_two_instances_are_started_and_all_is_ended(installed: Installed, tmp_path: Path) -> None:
    site = Topology(tmp_path / "site", {}, installed.folder / "bin")
    port, raw, valid = free_udp_port(), tmp_path / "raw", tmp_path / "valid"
    site.instance("forwarder/server-side", f"udp://127.0.0.1:{port}", f"file://{raw}?raw=True")
    site.instance("processor/server-side", "EventLogging %j", f"file://{raw}?follow=True", f"file://{valid}")
    with gzip.open(ROOT / "demo" / "server-side-lines.txt.gz", "rb") as file:
        line = next(file)
    try:
        site.ctl("start")
        assert site.ctl("status").stdout.count("RUNNING") == 2
        assert sorted(site.pids()) == ["forwarder/server-side", "processor/server-side"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(line, ("127.0.0.1", port))
        wait_for(lambda: valid.exists() and valid.read_bytes().endswith(b"\n"), DEADLINE_S, "the event")
        assert json.loads(valid.read_bytes())["schema"] in line.decode()
        site.ctl("stop")
        assert not list(site.states())
    finally:
        # Fails where a process is left.
        site.shutdown()


def test_what_needs_an_extra_says_so(installed: Installed, tmp_path: Path) -> None:
    for command, words, extra in (
        ("eventlogging-forwarder", ["http://127.0.0.1:8080/beacon/event", "stdout:"], "http"),
        ("eventlogging-importer", ["kafka:///127.0.0.1:1?topics=t", f"file://{tmp_path}"], "hdfs"),
        ("eventlogging-devserver", [], "dev"),
        ("eventlogging-devstack", ["status"], "dev"),
    ):
        done = installed.run(command, *words)
        assert done.returncode == 78
        assert f" needs the extra {extra}: pip install 'elworkers[{extra}]' (" in done.stderr
    file = tmp_path / "eventlogging.d" / "forwarders" / "browsers"
    file.parent.mkdir(parents=True)
    file.write_text("http://127.0.0.1:8080/beacon/event\nstdout:\n", encoding="utf-8")
    folders = [f"--config-dir={tmp_path / 'eventlogging.d'}", f"--run-dir={tmp_path / 'run'}"]
    done = installed.run("eventlogging-init", *folders)
    assert done.returncode == 78
    assert f"{file}:1: http URI needs the extra http: pip install 'elworkers[http]'" in done.stderr


def test_a_processor_and_a_consumer_of_a_database_need_no_extra(installed: Installed) -> None:
    for command in PROJECT["scripts"]:
        if command not in ("eventlogging-devserver", "eventlogging-devstack"):
            assert installed.run(command, "--help").returncode == 0, command
    cannot = installed.run("python", "-c", IMPORTS)
    assert cannot.returncode == 0, cannot.stderr
    for line in cannot.stdout.splitlines():
        assert line.startswith(OF_EXTRAS), line


def test_an_extra_is_added_as_the_sentence_says(installed: Installed, wheel: Path) -> None:
    pip("install", "--find-links", wheel.parent, "elworkers[http]", of=installed.folder / "bin" / "python")
    done = installed.run("eventlogging-forwarder", "--check", "http://127.0.0.1:8080/beacon/event", "stdout:")
    assert done.returncode == 0, done.stderr
    assert installed.run("python", "-c", "import elworkers.connectors.http.listener").returncode == 0


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(content.read(name))
        assert name.replace("METADATA", "licenses/LICENSE") in content.namelist()
    # By this pip refuses it for an older Python.
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("Provides-Extra") == list(PROJECT["optional-dependencies"])
    assert not told.get_all("Project-URL")


def test_nothing_is_left_when_it_is_uninstalled(installed: Installed) -> None:
    names = {path.name for path in installed.own}
    assert {"extras.py", "eventloggingctl", "LICENSE", "supervisord.conf", "eventlogging.vcl"} <= names
    pip("uninstall", "--yes", "elworkers", of=installed.folder / "bin" / "python")
    assert not installed.files() & installed.own
