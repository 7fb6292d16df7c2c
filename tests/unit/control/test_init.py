# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Instance files become programs of supervisord; and what `eventloggingctl` says where no supervisord runs."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elworkers.control import ctl, init
from elworkers.control.check import CRITICAL, UNKNOWN
from elworkers.control.lock import exclusive
from elworkers.control.paths import Paths
from elworkers.core.errors import EX_CONFIG, EX_TEMPFAIL

PROCESSOR = (
    "%q",
    "kafka:///k:9092?topic=raw&identity=p",
    "kafka:///k:9092?topic=valid",
    "--output-invalid=kafka:///k:9092?topic=errors",
    "--stop-timeout=45",
)


class Site:
    """A configuration folder and a run folder, and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "etc, 100%", folder / "run", folder / "bin")
        self.instance("processors/a", *PROCESSOR)
        self.instance("consumers/files", "stdin:?raw=True", "stdout:")

    def words(self) -> list[str]:
        paths = self.paths
        return [f"--config-dir={paths.config_dir}", f"--run-dir={paths.run_dir}", f"--command-dir={paths.command_dir}"]

    def instance(self, name: str, *lines: str) -> Path:
        path = self.paths.config_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def init(self) -> int:
        return init.main(self.words())

    def ctl(self, *words: str) -> int:
        return ctl.main([*self.words(), *words])

    def programs(self) -> dict[str, dict[str, str]]:
        """Program → its settings, with what supervisord would expand."""
        found = {}
        for path in sorted(self.paths.programs.glob("*.conf")):
            parsed = configparser.ConfigParser(interpolation=None)
            parsed.read_string(path.read_text(encoding="utf-8"))
            (section,) = parsed.sections()
            assert section == f"program:{path.stem}"
            found[path.stem] = {name: value.replace("%%", "%") for name, value in parsed[section].items()}
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    # Commands narrow that of their process.
    before = os.umask(0o022)
    os.umask(before)
    yield Site(tmp_path)
    os.umask(before)


def test_each_instance_file_becomes_a_program(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.init() == 0
    assert capsys.readouterr().out == f"2 instances in {site.paths.programs}\n"
    found = site.programs()
    assert set(found) == {"processor-a", "consumer-files"}
    one = found["processor-a"]
    assert one["command"].startswith(f"{site.paths.command_dir}/eventlogging-processor '@{site.paths.config_dir}/")
    assert f'EVENTLOGGING_CONFIG_DIR="{site.paths.config_dir}"' in one["environment"]
    # supervisord waits longer than the pool does.
    assert int(one["stopwaitsecs"]) > 45
    # Sources of others begin first.
    assert int(one["priority"]) < int(found["consumer-files"]["priority"])
    assert (site.paths.run_dir / "log").is_dir()
    assert "%%" in site.paths.programs.joinpath("processor-a.conf").read_text(encoding="utf-8")


def test_another_file_is_another_program_and_the_same_is_the_same(site: Site) -> None:
    site.init()
    before = site.programs()
    written = site.paths.programs.joinpath("processor-a.conf").stat().st_ino
    site.init()
    assert site.programs() == before
    assert site.paths.programs.joinpath("processor-a.conf").stat().st_ino == written
    site.instance("processors/a", *PROCESSOR, "# another line")
    site.init()
    after = site.programs()
    assert after["processor-a"]["environment"] != before["processor-a"]["environment"]
    assert after["consumer-files"] == before["consumer-files"]


def test_a_broken_file_leaves_its_program_and_a_file_that_has_gone_does_not(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.init()
    before = site.programs()
    path = site.instance("processors/a", *PROCESSOR, "--no-such-option")
    (site.paths.config_dir / "consumers" / "files").unlink()
    assert site.init() == EX_CONFIG
    assert site.programs() == {"processor-a": before["processor-a"]}
    assert f"{path}:6: " in capsys.readouterr().err


def test_a_folder_that_supervisord_cannot_take_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--config-dir={tmp_path}", f'--run-dir={tmp_path}/a " b']
    assert init.main(words) == EX_CONFIG
    assert 'supervisord cannot take a folder with a " in its name' in capsys.readouterr().err


def test_another_command_that_is_at_work_is_named(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with exclusive(site.paths, 0.0, "other"):
        assert init.main([*site.words(), "--lock-wait=0"]) == EX_TEMPFAIL
    assert "is running in" in capsys.readouterr().err
    assert not site.paths.programs.exists()


def test_without_supervisord_everything_is_stopped(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ctl("status") == 1
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["ROLE", "INSTANCE", "STATE"], ["processor", "a", "STOPPED"], ["consumer", "files", "STOPPED"]]
    assert site.ctl("check") == CRITICAL
    assert capsys.readouterr().out == "CRITICAL: Stopped EventLogging jobs: processor/a consumer/files\n"
    assert site.ctl("check", "processor") == CRITICAL
    assert capsys.readouterr().out == "CRITICAL: Stopped EventLogging jobs: processor/a\n"


def test_without_supervisord_there_is_nothing_to_stop(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("stop", "shutdown"):
        assert site.ctl(verb) == 0
        assert "supervisord does not run" in capsys.readouterr().out
    assert not site.paths.run_dir.exists()


def test_a_broken_file_is_shown_as_such(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.instance("processors/a", "%q")
    assert site.ctl("status", "processor/a") == EX_CONFIG
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["processor", "a", "BROKEN"]


@pytest.mark.parametrize("verb", ["status", "tail", "stop"])
def test_an_instance_that_there_is_not_is_refused(site: Site, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ctl(verb, "processor/b") == EX_CONFIG
    assert "there is no instance processor/b; did you mean processor/a?" in capsys.readouterr().err


def test_the_check_of_one_that_there_is_not_is_unknown(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ctl("check", "processor/b") == UNKNOWN
    assert capsys.readouterr().out.startswith("UNKNOWN: there is no instance processor/b")


def test_the_ends_of_logs_are_printed(site: Site, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert site.ctl("tail") == 1
    assert b"no log found" in capfdbinary.readouterr().err
    log = site.paths.log("processor-a")
    log.parent.mkdir(parents=True)
    # The last lines begin in the middle of the second piece from the end.
    log.write_bytes(b"first\n" + b"x" * 100_000 + b"\nlast but one\nlast \xff without an end")
    assert site.ctl("tail", "-n", "2", "processor") == 0
    assert capfdbinary.readouterr().out == b"last but one\nlast \xff without an end"
    assert site.ctl("tail", "-n", "3", "processor") == 0
    assert capfdbinary.readouterr().out.startswith(b"x" * 100_000)
    assert site.ctl("tail", "-n", "0", "processor") == 0
    assert capfdbinary.readouterr().out == b""
    # A line ends where a piece does.
    log.write_bytes(b"one\ntwo\n" + b"y" * (64 * 1024 - 1) + b"\n")
    assert site.ctl("tail", "-n", "2", "processor") == 0
    assert capfdbinary.readouterr().out == b"two\n" + b"y" * (64 * 1024 - 1) + b"\n"
    log.write_bytes(b"first\nlast \xff without an end")
    assert site.ctl("tail", "-n", "1") == 0
    both = capfdbinary.readouterr()
    assert both.out == f"==> {log} <==\n".encode() + b"last \xff without an end"
    assert b"consumer-files.log: there is no such log" in both.err
