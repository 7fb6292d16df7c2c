# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Modes and groups of what is made: what the operator says, else no more than the owner and the group need."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elworkers.config.uris import parse
from elworkers.connectors.file.sink import FileSink
from elworkers.connectors.registry import check_sink, check_storage
from elworkers.connectors.spool.sequence import Sequence
from elworkers.connectors.spool.spool import Spool
from elworkers.connectors.sql.engine import engine
from elworkers.control.init import provision
from elworkers.control.paths import Paths
from elworkers.core.contracts import Record
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.permissions import Permissions, narrow_umask
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store

OTHER_GROUP = 12345

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to any group")


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(path: Path, rights: Permissions) -> Path:
    sink = FileSink(path, rights=rights)
    sink.write([Record(b"line")])
    sink.flush()
    sink.close()
    return path


def test_what_holds_events_is_not_for_everybody(tmp_path: Path, umask: int) -> None:
    Spool(tmp_path / "spool", 10_000, 1_000).append([b"line"], 0)
    Sequence(tmp_path / "state" / "sequence")
    StagingFiles(tmp_path / "staging").close()
    engine(parse(f"sqlite:///{tmp_path / 'events.db'}")).connect().close()
    written(tmp_path / "events.log", Permissions())
    for path in (one for one in tmp_path.rglob("*") if one.name != "lock"):
        assert not mode(path) & 0o007, path
        assert mode(path) & umask == 0, path
    assert mode(tmp_path / "events.log") == 0o640 & ~umask


def test_a_mode_is_what_it_says_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    assert mode(written(tmp_path / "wide", Permissions(0o664))) == 0o664
    assert mode(written(tmp_path / "close", Permissions(0o600))) == 0o600


def test_a_file_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "rotated").touch()
    (tmp_path / "rotated").chmod(0o604)
    assert mode(written(tmp_path / "rotated", Permissions(0o660))) == 0o604


@as_root
def test_a_file_and_the_folders_of_an_importer_have_the_group(tmp_path: Path) -> None:
    assert written(tmp_path / "file", Permissions(0o640, OTHER_GROUP)).stat().st_gid == OTHER_GROUP
    store = Store(check_storage(f"file://{tmp_path}/base?mode=0640&group={OTHER_GROUP}"))
    store.make_folder("a/b")
    store.write("a/b/file", [b"x"])
    for path, wanted in {"base": 0o2750, "base/a": 0o2750, "base/a/b": 0o2750, "base/a/b/file": 0o640}.items():
        assert (mode(tmp_path / path), (tmp_path / path).stat().st_gid) == (wanted, OTHER_GROUP)
    assert mode(tmp_path) & 0o7077 == 0


@as_root
def test_a_group_that_cannot_be_given_leaves_no_file_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    child = os.fork()
    if not child:
        try:
            os.chdir(tmp_path)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            written(Path("file"), Permissions(None, OTHER_GROUP))
        except RetryableError as error:
            os._exit("Operation not permitted" not in str(error))
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("mode=rw", "a mode of three digits of which the first is 6 or 7, as 0640"),
        ("mode=0444", "a mode of three digits"),
        ("mode=01777", "a mode of three digits"),
        ("group=no-such-group", "the name or number of a group of this host"),
    ],
)
def test_what_is_no_mode_or_group_is_an_error(option: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option.partition('=')[0]}.*{expected}"):
        check_sink(f"file:///var/log/events.log?{option}")


def provisioned(tmp_path: Path) -> tuple[str, dict[str, int]]:
    (tmp_path / "etc").mkdir()
    places = Paths(tmp_path / "etc", tmp_path / "run" / "eventlogging", Path(sys.executable).parent)
    provision(places)
    line = next(line for line in places.supervisord_conf.read_text().splitlines() if line.startswith("umask="))
    return line, {path.name: mode(path) for path in [places.run_dir, *places.run_dir.iterdir()]}


def test_supervisord_gets_the_stricter_of_two_umasks(tmp_path: Path, umask: int) -> None:
    line, modes = provisioned(tmp_path)
    assert line == f"umask={umask | 0o027:03o}"
    assert modes["eventlogging"] == modes["log"] == modes["state"] == 0o750 & ~umask
    assert modes["supervisord.conf"] == 0o640 & ~umask


def test_a_run_folder_is_as_open_as_the_operator_says(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTLOGGING_RUN_MODE", "0644")
    monkeypatch.setenv("EVENTLOGGING_RUN_GROUP", str(os.getgid()))
    line, modes = provisioned(tmp_path)
    assert line == "umask=022"
    assert modes["eventlogging"] == modes["log"] == modes["state"] == 0o2755


def test_a_run_folder_of_no_group_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTLOGGING_RUN_GROUP", "no-such-group")
    with pytest.raises(ConfigurationError, match="EVENTLOGGING_RUN_GROUP: 'no-such-group'; expected the name"):
        provisioned(tmp_path)


def test_a_narrow_umask_is_never_wider_than_the_operators(umask: int) -> None:
    assert narrow_umask() == umask | 0o027
    assert os.umask(0) == umask | 0o027
