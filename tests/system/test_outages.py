# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What is away or full: a disk, a folder, a schema wiki, another machine. Nothing is lost by any of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import importing
import psutil
import pytest
import sqlalchemy
from chaos import flow
from schemawiki import SchemaWiki
from topology import SCHEMAS, Topology, processes
from waiting import wait_for

from elworkers.config.uris import parse
from elworkers.connectors.sql import engine as database
from elworkers.devstack import Stack

DEADLINE_S = 60.0
Make = Callable[..., Topology]
Unique = Callable[[str], str]
OPTIONS = "auto_offset_reset=earliest&session_timeout_ms=2000&partitions=4"


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["event"]["recipientUserId"] for line in lines(path)]


def waits(site: Topology, title: str, reason: str) -> bool:
    """Whether the instance says that it waits, and for what."""
    entries = [json.loads(line) for line in site.log(title).splitlines() if line.startswith("{")]
    return any(entry["event"] == "waiting to try again" and reason in entry["reason"] for entry in entries)


@pytest.mark.parametrize("kind", ["a full disk", "a folder that is not there"])
def test_a_log_file_that_cannot_be_written_is_waited_for(
    topology: Make, kafka: str, unique: Unique, tmp_path: Path, kind: str
) -> None:
    site, topic = topology({}), unique("disk")
    folder = tmp_path / "srv"
    out = folder / "events.log"
    if kind == "a full disk":
        folder.mkdir()
        out.symlink_to("/dev/full")
        reason = "No space left on device"
    else:
        reason = "No such file or directory"
    site.instance(
        "consumer/file", f"kafka:///{kafka}?topic={topic}&raw=True&identity={topic}&{OPTIONS}", f"file://{out}"
    )
    flow.produce(kafka, topic, range(100))
    site.ctl("start", "--no-wait")
    wait_for(lambda: waits(site, "consumer/file", reason), DEADLINE_S, f"the words {reason}")
    wait_for(lambda: [said["workers"][0]["state"] for said in site.states()] == ["waiting"], DEADLINE_S, "the state")
    workers = [worker.pid for pid in site.pids().values() for worker in psutil.Process(pid).children()]
    if kind == "a full disk":
        out.unlink()
    else:
        folder.mkdir()
    wait_for(lambda: sorted(numbers(out)) == list(range(100)), DEADLINE_S, "every line, once")
    # Said once in a minute, and the worker was no other.
    assert site.log("consumer/file").count(reason) <= 2
    assert [worker.pid for pid in site.pids().values() for worker in psutil.Process(pid).children()] == workers


def test_memory_stays_bounded_while_the_database_is_away_and_much_comes_in(
    own_stack: Stack, topology: Make, unique: Unique
) -> None:
    own_stack.up("kafka", "mariadb")
    env, site, topic = own_stack.env(), topology({}), unique("away")
    source = f"kafka:///{env['KAFKA']}?topic={topic}&identity={topic}&{OPTIONS}"
    site.instance("consumer/db", source, env["MYSQL_URL"], "--batch-seconds=0.5")
    # 50 MB in all.
    mail = {"emailDeliveryMode": "daily_digest", "recipientUserId": 1, "version": "1"}
    some = importing.events(40_000, schema=flow.SCHEMA, revision=flow.REVISION, event=mail, userAgent="x" * 1000)
    sent = [event["uuid"] for event in some]

    def stored() -> set[str]:
        engine = database.engine(parse(env["MYSQL_URL"]))
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(f"{flow.SCHEMA}_{flow.REVISION}"):
                return set()
            found = connection.execute(sqlalchemy.text(f"SELECT uuid FROM {flow.SCHEMA}_{flow.REVISION}"))  # noqa: S608
            uuids = set(found.scalars())
        engine.dispose()
        return uuids & set(sent)

    importing.produce(env["KAFKA"], topic, importing.lines(some[:5000]), partitions=4)
    site.ctl("start")
    wait_for(lambda: len(stored()) == 5000, DEADLINE_S, "the first rows")
    (worker,) = (worker["pid"] for said in site.states() for worker in said["workers"])
    before = _peak(worker)
    own_stack.kill("mariadb")
    importing.produce(env["KAFKA"], topic, importing.lines(some[5000:]), partitions=4)
    wait_for(lambda: waits(site, "consumer/db", "database"), DEADLINE_S, "the word that it waits")
    wait_for(lambda: [said["workers"][0]["state"] for said in site.states()] == ["waiting"], DEADLINE_S, "the state")
    own_stack.start("mariadb")
    wait_for(lambda: len(stored()) == len(sent), DEADLINE_S, "every row")
    (after,) = (worker["pid"] for said in site.states() for worker in said["workers"])
    assert after == worker
    assert _peak(worker) - before < 64 * 1024 * 1024


def _peak(pid: int) -> int:
    """The most memory that a process has ever held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@pytest.fixture
def wiki() -> Iterator[SchemaWiki]:
    made = SchemaWiki()
    yield made
    made.close()


def test_events_wait_for_a_schema_wiki_that_is_away(
    topology: Make, kafka: str, unique: Unique, wiki: SchemaWiki
) -> None:
    site, topic = topology({}), unique("wiki")
    source = f"kafka:///{kafka}?topic={topic}&identity={topic}&{OPTIONS}"
    out, invalid = site.run_dir / "valid", site.run_dir / "invalid"
    site.instance(
        "processor/p", "%j", source, f"file://{out}", f"--output-invalid=file://{invalid}", f"--schemas={wiki.api}"
    )
    wiki.status = 503
    flow.produce(kafka, topic, range(20))
    site.ctl("start", "--no-wait")
    wait_for(lambda: waits(site, "processor/p", "HTTP 503"), DEADLINE_S, "the wiki's answer in the log")
    assert not lines(out)
    schema = json.loads((SCHEMAS / flow.SCHEMA / f"{flow.REVISION}.json").read_text(encoding="utf-8"))
    wiki.schemas[flow.REVISION] = (flow.SCHEMA, schema)
    wiki.status = 200
    wait_for(lambda: sorted(numbers(out)) == list(range(20)), DEADLINE_S, "every event")
    assert not lines(invalid)


def test_an_event_whose_schema_does_not_exist_is_invalid_at_once(
    topology: Make, kafka: str, unique: Unique, wiki: SchemaWiki
) -> None:
    site, topic = topology({}), unique("wiki")
    source = f"kafka:///{kafka}?topic={topic}&identity={topic}&{OPTIONS}"
    out, invalid = site.run_dir / "valid", site.run_dir / "invalid"
    site.instance(
        "processor/p", "%j", source, f"file://{out}", f"--output-invalid=file://{invalid}", f"--schemas={wiki.api}"
    )
    flow.produce(kafka, topic, range(20))
    site.ctl("start")
    wait_for(lambda: len(lines(invalid)) == 20, DEADLINE_S, "EventErrors")
    assert {json.loads(line)["event"]["code"] for line in lines(invalid)} == {"validation"}
    assert len(wiki.asked) == 1


@pytest.mark.parametrize(("client", "broker"), [("pykafka", "kafka"), ("confluent", "kafka44")])
def test_one_of_two_machines_vanishes_and_the_other_takes_its_partitions(
    client: str, broker: str, topology: Make, request: pytest.FixtureRequest, unique: Unique, tmp_path: Path
) -> None:
    kafka, topic = request.getfixturevalue(broker), unique("machines")
    out = tmp_path / "events.log"
    sites = [topology({}, name) for name in ("here", "there")]
    for site in sites:
        # Instances of the same name, in one group, into one file.
        source = f"kafka-{client}:///{kafka}?topic={topic}&raw=True&identity={topic}&{OPTIONS}"
        site.instance("consumer/same", source, f"file://{out}")
        site.ctl("start")

    def shares() -> list[list[int]]:
        return sorted(partitions for site in sites for partitions in site.owned(topic).values())

    wait_for(lambda: shares() == [[0, 1], [2, 3]], DEADLINE_S, "two partitions for each")
    flow.produce(kafka, topic, range(100))
    wait_for(lambda: sorted(numbers(out)) == list(range(100)), DEADLINE_S, "every line, once")

    for process in processes(str(sites[1].run_dir)):
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: sites[0].owned(topic) == {"consumer/same": [0, 1, 2, 3]}, DEADLINE_S, "all partitions")
    flow.produce(kafka, topic, range(100, 200))
    wait_for(lambda: set(numbers(out)) == set(range(200)), DEADLINE_S, "what was sent later")
    hosts = {json.loads(line)["host"] for line in sites[0].log("consumer/same").splitlines() if line.startswith("{")}
    assert hosts == {os.uname().nodename}
    assert {said["host"] for said in sites[0].states()} == hosts
