# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines what a server of the stack is, with what several of them need."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache

Ports = Mapping[str, int]
HOST = "127.0.0.1"
_QUIET_LOG = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
# Of Kafka 4, which takes the other file for one of its own where this one is not named.
_QUIET_LOG_2 = """rootLogger=WARN, out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
"""


class Part:
    """A server of the stack.

    Attributes:
        name: as on the command line.
        ports: the names of the ports it listens on; the first is the one that others ask for.
        companions: parts that come and go with it.
        needs: parts that start before it, and stay when it goes.
    """

    name: str
    ports: tuple[str, ...]
    companions: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """Write configuration and first data into `home`; the command that starts the part.

        `ports` are those of the whole stack.
        """
        raise NotImplementedError

    def answers(self, ports: Ports) -> bool:
        """Return whether it does what it is there for."""
        raise NotImplementedError

    def env(self, _ports: Ports) -> dict[str, str]:
        """Return what others need to know to use it."""
        return {}


def java(
    cache: Cache,
    jars: Sequence[Path],
    heap_mb: int,
    main: Sequence[str],
    home: Path,
    conf: Path | None = None,
) -> list[str]:
    """Return the command that runs a main class; `conf` comes first on its class path."""
    (home / "log4j.properties").write_text(_QUIET_LOG, encoding="utf-8")
    (home / "log4j2.properties").write_text(_QUIET_LOG_2, encoding="utf-8")
    options = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", f"-Dlog4j.configuration=file:{home}/log4j.properties"]
    options.append(f"-Dlog4j2.configurationFile={home}/log4j2.properties")
    # Not one argument of 5 KB with every jar in it: the wildcard keeps process lists readable.
    folder = home / "jars"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for jar in jars:
        (folder / jar.name).symlink_to(jar)
    return [str(cache.java()), *options, "-cp", f"{f'{conf}:' if conf else ''}{folder}/*", *main]


def run(command: Sequence[str], log: Path, part: str) -> None:
    """Run a command to its end in the stack's folder, its output going to a log in the part's.

    Raises:
        DevstackError: it failed; with the end of the log.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=log.parent.parent)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise DevstackError(f"{part} cannot be prepared; the end of {log}:\n  " + "\n  ".join(last))
