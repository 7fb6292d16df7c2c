# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The commands of docs/procedures.md, section by section, each run as it stands there, on real servers under load."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from procedures import DEADLINE_S, Flow, Host, Load, line, link_libraries, sections, shell
from topology import BIN, ROOT
from waiting import wait_for

from elworkers import __version__
from elworkers.devstack import Stack

BLOCKS = sections()
NEXT = "9.9.9"
MOVED = ("forwarder/server-side-raw", "processor/server-side-0", "consumer/mysql-m4-master")
Hosts = Callable[[str], Host]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not in pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="procedures-") as made:
        Path(made).chmod(0o755)
        (Path(made) / "schemas").mkdir()
        yield Path(made)


@pytest.fixture(scope="module")
def hosts(folder: Path, stack: Stack, kafka: str, mariadb: str) -> Iterator[Hosts]:
    """Makes hosts that run the version behind the link `current`."""
    releases, libraries = folder / "releases", folder / "libraries"
    releases.mkdir()
    (releases / __version__).symlink_to(BIN.parent)
    (releases / "current").symlink_to(__version__)
    link_libraries(libraries)
    variables = {
        **shell(folder, stack, mariadb),
        "KAFKA": kafka,
        "RELEASES": str(releases),
        "EVENTLOGGING_COMMAND_DIR": str(releases / "current" / "bin"),
        # What another version needs besides itself is here already.
        "PYTHONPATH": str(libraries),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    made: list[Host] = []

    def make(name: str) -> Host:
        made.append(Host(folder / name, {"EVENTLOGGING_SCHEMAS": str(folder / "schemas")}, variables))
        return made[-1]

    yield make
    for host in made:
        host.shutdown()


@pytest.fixture(scope="module")
def flow(hosts: Hosts, folder: Path, kafka: str, mariadb: str) -> Flow:
    return Flow(hosts("old"), kafka, mariadb, f"p{uuid.uuid4().hex[:10]}", folder / "schemas")


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_every_section_has_commands_and_a_test() -> None:
    known = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_")}
    assert len(BLOCKS) >= 11
    for title, blocks in BLOCKS.items():
        assert blocks, title
        assert re.sub("[^a-z ]", "", title.lower()) in known, f"no test of {title}"


def test_reread_a_topic_from_a_time(flow: Flow) -> None:
    schema = flow.schema("Reread")
    flow.send(schema, range(10))
    flow.stored(schema, range(10))
    since = datetime.now(UTC)
    flow.send(schema, range(10, 20))
    flow.stored(schema, range(20))
    flow.do(f"DELETE FROM {schema}_1 WHERE event_a BETWEEN 5 AND 16")  # noqa: S608
    said = flow.host.run(
        *BLOCKS["Re-read a topic from a time"],
        CONSUMER="consumer/mysql-m4-master",
        GROUP=flow.group,
        TOPIC=flow.mixed,
        FROM=since.strftime("%Y-%m-%dT%H:%M:%S.") + f"{since.microsecond // 1000:03}",
    )
    assert len(re.findall(rf"^{flow.mixed},[01],\d+$", said, re.MULTILINE)) == 2
    flow.stored(schema, [*range(5), *range(10, 20)])
    assert "the group's offsets in Kafka are not its positions" not in flow.host.log("consumer/mysql-m4-master")
    # What is there is passed over, by the same batch that brings back what was missing.
    assert len(flow.do(f"SELECT DISTINCT uuid FROM {schema}_1")) == 15  # noqa: S608


def test_blacklist_a_schema(flow: Flow) -> None:
    unwanted, other = flow.schema("Unwanted"), flow.schema("Wanted")
    flow.send(unwanted, range(5))
    flow.stored(unwanted, range(5))
    said = flow.host.run(*BLOCKS["Blacklist a schema"], SCHEMA=unwanted)
    assert f"blacklist=^(VirtualPageView)|{unwanted})" not in said
    assert f"VirtualPageView|{unwanted})$" in said
    before = flow.count(flow.mixed)
    flow.send(unwanted, range(5, 10))
    flow.send(other, range(5))
    wait_for(lambda: flow.count(f"{flow.mark}_{unwanted}") == 10, DEADLINE_S, "all of them in its own topic")
    flow.stored(other, range(5))
    assert flow.count(flow.mixed) == before + 5
    assert flow.numbers(unwanted) == list(range(5))


def test_add_a_processor(flow: Flow) -> None:
    before = flow.host.pids()
    said = flow.host.run(*BLOCKS["Add a processor"], PROCESSOR="server-side-0", ADDED="server-side-1")
    assert "processor-server-side-1: started" in said
    assert "restarted" not in said
    flow.shared(flow.raw, 2, flow.count_partitions(flow.raw))
    assert flow.host.pids().items() > before.items()
    schema = flow.schema("Shared")
    flow.send(schema, range(100))
    flow.stored(schema, range(100))


def test_add_a_partition(flow: Flow) -> None:
    processors, partitions = len(flow.host.owned(flow.raw)), flow.count_partitions(flow.raw) + 1
    flow.host.run(*BLOCKS["Add a partition"], TOPIC=flow.raw, PARTITIONS=partitions)
    flow.shared(flow.raw, processors, partitions)
    assert "not as configured" not in flow.host.run("eventloggingctl status")
    schema, sent = flow.schema("Partitioned"), count()

    def is_used() -> bool:
        flow.send(schema, [next(sent)])
        return flow.ends(flow.raw)[partitions - 1] > 0

    wait_for(is_used, DEADLINE_S, "a message in the new partition")
    flow.stored(schema, range(next(sent)))


def test_check_insertion_lag(flow: Flow) -> None:
    schema = flow.schema("Lag")
    flow.send(schema, range(3), timestamp=int(time.time()) - 3600)
    flow.stored(schema, range(3))
    said = flow.host.run(*BLOCKS["Check insertion lag"], GROUP=flow.group, TABLE=f"{schema}_1")
    assert re.search(rf"^{flow.group} +{flow.mixed} +0 +\d+ +\d+ +\d+ ", said, re.MULTILINE)
    found = re.search(r"\| (\d{14}) \| +(\d+) \|", said)
    assert found, said
    assert 3600 <= int(found[2]) < 3700


def test_drop_a_table(flow: Flow, folder: Path) -> None:
    schema = flow.schema("Dropped")
    flow.send(schema, range(5))
    flow.stored(schema, range(5))
    flow.host.run(*BLOCKS["Drop a table"], TABLE=f"{schema}_1")
    assert flow.numbers(schema) == []
    (dump,) = folder.rglob(f"{schema}_1.sql.gz")
    assert b"INSERT INTO" in gzip.decompress(dump.read_bytes())
    flow.send(schema, range(5, 8))
    flow.stored(schema, range(5, 8))


def test_purge_by_column(flow: Flow) -> None:
    schema = flow.schema("Purged")
    for number, days in enumerate([400, 400, 400, 100, 100, 100, 1, 1]):
        flow.send(schema, [number], timestamp=int(days_ago(days).timestamp()))
    flow.stored(schema, range(8))
    columns, rows = BLOCKS["Purge by column"]
    given = {"TABLE": f"{schema}_1", "BATCH": 2, "PAUSE": 0}
    before = {days: days_ago(days).strftime("%Y%m%d%H%M%S") for days in (90, 365)}
    said = flow.host.run(columns, COLUMN="userAgent", BEFORE=before[90], **given)
    assert said.splitlines() == [f"{purged} values of userAgent" for purged in (2, 2, 2, 0)]
    kept = flow.do(f"SELECT event_a FROM {schema}_1 WHERE userAgent IS NOT NULL ORDER BY event_a")  # noqa: S608
    assert kept == [(6,), (7,)]
    said = flow.host.run(rows, BEFORE=before[365], **given)
    assert said.splitlines() == ["2 rows", "1 rows", "0 rows"]
    flow.stored(schema, range(3, 8))


def test_backfill_a_day_from_log_files(flow: Flow, folder: Path, mariadb: str) -> None:
    schema, log = flow.schema("Backfilled"), folder / "day.gz"
    flow.send(schema, range(5))
    flow.stored(schema, range(5))
    lines = [b"%d\t%s\n" % (number, line(schema, number, 1469796874)) for number in range(100, 120)]
    log.write_bytes(gzip.compress(b"".join([*lines, b"no event\n"])))
    look, store = BLOCKS["Backfill a day from log files"]
    given = {
        "LOG": log,
        "FORMAT": "%{seqId}d EventLogging %j",
        "DATABASE_URL": mariadb,
        "EVENTLOGGING_SCHEMAS": folder / "schemas",
    }
    assert re.search(rf"^{schema} +1 +20 +0 +0 +20$", flow.host.run(look, **given), re.MULTILINE)
    flow.stored(schema, range(5))
    for _ in range(2):
        flow.host.run(store, expect=65, **given)
        flow.stored(schema, [*range(5), *range(100, 120)])
    assert log.with_name("day.gz.rejected").read_bytes().count(b"\n") == 1


def test_check_as_the_monitoring_systems_user(flow: Flow) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("becoming another user takes root and setpriv (util-linux)")
    once, check = BLOCKS["Check as the monitoring system's user"]
    group = flow.host.run("id -gn nobody").strip()
    given = {"MONITOR": "nobody", "MONITOR_GROUP": group}
    if not flow.host.run(check.replace(" check", " --version"), expect=None, **given):
        pytest.skip("another user may not run the commands of this environment")
    assert "may not be controlled" in flow.host.run(check, expect=3, **given)
    flow.host.run(once, **given)
    running = len(flow.host.pids())
    # Each parent writes anew within five seconds.
    may_read = lambda: "UNKNOWN" not in flow.host.run(check, expect=None, **given)  # noqa: E731
    wait_for(may_read, DEADLINE_S, "states that the group may read")
    assert flow.host.run(check, **given) == f"OK: {running} EventLogging jobs are running.\n"
    flow.host.run("eventloggingctl stop consumer/all-events.log")
    stopped = "CRITICAL: Stopped EventLogging jobs: consumer/all-events.log\n"
    assert flow.host.run(check, expect=2, **given) == stopped
    flow.host.run("eventloggingctl start")
    assert flow.host.run(check, **given).startswith("OK: ")
    # It may look, and nothing else.
    refused = flow.host.run(f"exec 2>&1; {check.replace(' check', ' stop')}", expect=1, **given)
    assert "Permission denied" in refused


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The next version."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("elworkers", "etc", "supervisor.d"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = source / "elworkers" / "__init__.py"
    path.write_text(path.read_text(encoding="utf-8").replace(f'"{__version__}"', f'"{NEXT}"'), encoding="utf-8")
    words = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(source)], check=True, timeout=120)
    (made,) = tmp_path.glob("*.whl")
    return made


def test_deploy_a_new_version(flow: Flow, wheel: Path) -> None:
    assert set(flow.host.versions().values()) == {__version__}
    door = flow.host.pids()["forwarder/server-side-raw"]
    schema = flow.schema("Deployed")
    with Load(flow.host.port, schema) as load:
        load.goes_on()
        said = flow.host.run(*BLOCKS["Deploy a new version"], VERSION=NEXT, PACKAGE=wheel)
        load.goes_on()
    assert f"runs version {__version__}; `restart` starts {NEXT}" in said
    assert set(flow.host.versions().values()) == {NEXT}
    assert flow.host.pids()["forwarder/server-side-raw"] == door
    assert f'"version": "{NEXT}"' in flow.host.log("forwarder/server-side-raw")
    flow.stored(schema, range(load.sent))


def test_move_an_instance_to_another_host(flow: Flow, hosts: Hosts, tmp_path: Path) -> None:
    new, schema = hosts("new"), flow.schema("Moved")
    there, gone = BLOCKS["Move an instance to another host"]
    with Load(flow.host.port, schema) as load:
        load.goes_on()
        for title in MOVED:
            role, _, name = title.partition("/")
            copy, file = shutil.copy(flow.host.config_dir / f"{role}s" / name, tmp_path), f"{role}s/{name}"
            new.run(there, FILE=file, COPY=copy)
            if role == "forwarder":
                load.place = ("127.0.0.1", new.port)
                load.goes_on()
            assert f"{role}-{name}: stopped" in flow.host.run(gone, FILE=file)
        load.goes_on()
    assert set(new.pids()) == set(MOVED)
    assert not set(flow.host.pids()) & set(MOVED)
    flow.stored(schema, range(load.sent))
    # Rows are stored once in any case; messages are, because nobody was killed.
    assert flow.count(f"{flow.mark}_{schema}") == load.sent
