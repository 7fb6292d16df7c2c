# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Servers for tests, each started when the first test asks for it; and names that no other run uses."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from lockeddoors import LockedDoors

from elworkers.devstack import Stack
from elworkers.devstack import varnish as varnish_part


class Varnished(NamedTuple):
    """Where a Varnish listens, and what its programs know it by."""

    address: str
    name: str


# Without Rich, as programs have it.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# What belongs to a process of the program for as long as it lives is one test's here, and the next one's beside it:
# more than the 1,024 files that many a shell allows.
_FILES = 4_096
_files, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= _files < _FILES:
    wanted = _FILES if _most_files == resource.RLIM_INFINITY else min(_FILES, _most_files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, _most_files))

# A busy machine is no reason to fail, and two runs of the same code shall agree.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# For `make mutants`, where a failure is all that is asked for, not the smallest input that shows it.
settings.register_profile("mutants", settings.get_profile("house"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Leave the umask as it was: a command that is called in this process narrows it."""
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """Leave the log as it was: a command that is called in this process sets it up."""
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**configured)
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The servers that tests share; those of ELWORKERS_TEST_STACK (a folder) where it is set, left running.

    A test that stops a server takes `own_stack`.
    """
    given = os.environ.get("ELWORKERS_TEST_STACK")
    if given:
        yield Stack(Path(given))
        return
    own = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield own
    finally:
        own.down()


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that a test may stop and kill; it leaves them running."""
    own = Stack(tmp_path_factory.mktemp("own-stack"))
    try:
        yield own
    finally:
        own.down()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """`host:port` of a Kafka broker."""
    stack.up("kafka")
    return stack.env()["KAFKA"]


@pytest.fixture(scope="session")
def kafka44(stack: Stack) -> str:
    """`host:port` of a broker of the newest Kafka."""
    stack.up("kafka44")
    return stack.env()["KAFKA44"]


@pytest.fixture(scope="session")
def locked_kafka(stack: Stack) -> LockedDoors:
    """A broker that lets nobody in who has no right to: TLS, client certificates, SASL, ACLs."""
    return LockedDoors.of(stack, "kafka-locked")


@pytest.fixture(scope="session")
def locked_kafka44(stack: Stack) -> LockedDoors:
    """The same of the newest Kafka."""
    return LockedDoors.of(stack, "kafka44-locked")


@pytest.fixture(scope="session")
def zookeeper(stack: Stack) -> str:
    """`host:port` of a ZooKeeper server."""
    stack.up("zookeeper")
    return stack.env()["ZOOKEEPER"]


@pytest.fixture(scope="session")
def mariadb(stack: Stack) -> str:
    """URL of a MariaDB database."""
    stack.up("mariadb")
    return stack.env()["MYSQL_URL"]


@pytest.fixture(scope="session")
def webhdfs(stack: Stack) -> str:
    """URL of an HDFS, without a path."""
    stack.up("hdfs")
    return stack.env()["WEBHDFS"]


@pytest.fixture(scope="session")
def varnish(stack: Stack) -> Varnished:
    """A Varnish with etc/varnish/eventlogging.vcl; needs a package that only root can install."""
    if varnish_part.program() is None:
        pytest.skip("no Varnish; as root: apt-get install varnish")
    stack.up("varnish")
    return Varnished(stack.env()["VARNISH"], str(stack.folder / "varnish"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; needs a package that only root can install."""
    return packaged("chromium", "chromium")


@pytest.fixture(scope="session")
def firefox() -> str:
    """The path of Firefox; needs a package that only root can install."""
    return packaged("firefox-esr", "firefox-esr")


@pytest.fixture(scope="session")
def php() -> str:
    """The path of PHP; needs a package that only root can install."""
    return packaged("php", "php-cli")


def packaged(program: str, package: str) -> str:
    """The path of a program of one of Debian's packages."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}; as root: apt-get install {package}")
    return found


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes a name of letters, digits and `_` that no other test uses, beginning with the one given."""
    return lambda name: f"{name}_{uuid.uuid4().hex[:12]}"
