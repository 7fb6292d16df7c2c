# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Every instance file of the original in tests/cases: starts with what it meant, or is refused with the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import modern
import pytest
import sqlalchemy
from outputs import count, fill, logged, schemas
from topology import Topology
from waiting import wait_for

from elworkers.config.uris import parse
from elworkers.connectors.sql import engine

DEADLINE_S = 60.0
CASES = Path(__file__).parent.parent / "cases" / "instances"
ENDS = ("valid-mixed", "server-side", "client-side")
REFUSED = {
    "2015-09/forwarders/server-side-raw": "2: tcp URI: there is no such output here; expected kafka:///HOST:PORT?topic=",
    "2015-09/forwarders/server-side-raw-kafka": "1: tcp URI: there is no such input here; expected kafka:///HOST:PORT",
    "2016-07/forwarders/legacy-zmq": "2: tcp URI: there is no such output here; expected kafka:///HOST:PORT?topic=",
    "2017-01/forwarders/legacy-zmq": "2: tcp URI: there is no such output here; expected kafka:///HOST:PORT?topic=",
}
STRANGER = "2016-07/services/eventbus"
TOPICS = {
    "2015-09": {"Plain": 1700, "Analytics": 200, "EventError": 100, "mixed": 1910},
    "2016-07": {"Plain": 700, "Analytics": 200, "EventError": 100, "mixed": 710},
    "2017-01": {"Plain": 700, "Analytics": 200, "EventError": 100, "mixed": 710},
}
"""Messages; ten of each mixed topic are written there by the test."""
LOGS = {"2015-09": (0, 0), "2016-07": (700, 1000), "2017-01": (710, 1000)}
"""Lines of all events, and raw ones. The inputs of 2016 have a blacklist, those of 2017 have none."""
ROWS = {"2015-09": (0, 0), "2016-07": (700, 0), "2017-01": (700, 210)}
"""Of the two schemas. A consumer of several topics writes 200 to the last, and the same 700 again."""

Make = Callable[..., Topology]


class Era:
    """One era's files in a topology, with topics, tables and log files of their own.

    Attributes:
        plain, unwanted: schemas; the blacklists of the files leave out the second.
        topic: what its topics' names begin with.
        logs: where its log files are.
    """

    def __init__(self, name: str, mark: str, folder: Path) -> None:
        self.name, self.topic, self.logs = name, f"{mark}_{name}.eventlogging", folder / f"logs-{name}"
        year = name.replace("-", "")
        self.plain, self.unwanted = f"Plain_{year}_{mark}", f"Analytics_{year}_{mark}"
        self.logs.mkdir()

    def write(self, site: Topology, servers: dict[str, str]) -> None:
        """Write its files; their names begin with the era's."""
        for path in filter(Path.is_file, (CASES / self.name).rglob("*")):
            text = path.read_text(encoding="utf-8").replace("topic=eventlogging", f"topic={self.topic}")
            for old, new in servers.items():
                text = text.replace(old, new)
            made = site.config_dir / path.parent.name / f"{self.name}-{path.name}"
            made.parent.mkdir(exist_ok=True)
            made.write_text(text.replace("/srv/log/eventlogging", str(self.logs)), encoding="utf-8")
            made.chmod(0o640)

    def logged(self) -> tuple[int, int]:
        """How many lines its two log files have."""
        return lines(self.logs / "all-events.log"), lines(self.logs / "client-side-events.log")

    def client_lines(self) -> list[bytes]:
        """700 events, 200 of the schema that is left out, 50 that are not valid, and 50 lines that are no events."""
        fields = ["cp1", "{}", "2016-07-29T12:34:56", "-", '"agent"']
        found = []
        for number in range(950):
            schema = self.unwanted if 700 <= number < 900 else self.plain
            event = {"a": number if number < 900 else "no number"}
            capsule = {"event": event, "schema": schema, "revision": 1, "wiki": "w", "webHost": "h"}
            query = "?" + quote(json.dumps(capsule)) + ";"
            found.append("\t".join([query, *fields]).format(number).encode())
        return [*found, *(b"no event %d" % number for number in range(50))]

    def server_lines(self) -> list[bytes]:
        """1,000 events, as MediaWiki sends them and a forwarder counts them."""
        capsule = {"schema": self.plain, "revision": 1, "wiki": "w", "recvFrom": "mw1", "timestamp": 1469796874}
        return [
            b"%d\tEventLogging %s" % (number, json.dumps({**capsule, "event": {"a": number}}).encode())
            for number in range(1000)
        ]

    def unwanted_events(self) -> list[bytes]:
        """Ten valid events of the schema that is left out, which somebody else has written to the mixed topic."""
        capsule = {"schema": self.unwanted, "revision": 1, "wiki": "w", "recvFrom": "mw1", "timestamp": 1469796874}
        made = [{**capsule, "uuid": f"{number:032x}", "event": {"a": number}} for number in range(10)]
        return [json.dumps(event).encode() for event in made]


@pytest.fixture(params=["kafka", "kafka44"])
def servers(request: pytest.FixtureRequest, zookeeper: str, mariadb: str) -> dict[str, str]:
    """What stands in the files, and what is there, also with a Kafka that knows no ZooKeeper."""
    kafka: str = request.getfixturevalue(request.param)
    login, _, place = mariadb.partition("?")[0].removeprefix("mysql://").partition("@")
    return {
        "k1:9092": kafka,
        "zk1:2181": zookeeper,
        "eventlogging:eventlogging@db1:3306/log": f"{login}@{place}",
    }


def rows(uri: str, table: str) -> int:
    """How many rows a table has; 0 where there is none."""
    with engine.engine(parse(uri)).connect() as connection:
        if not sqlalchemy.inspect(connection).has_table(table):
            return 0
        return int(connection.execute(sqlalchemy.text(f"SELECT COUNT(*) FROM `{table}`")).scalar_one())  # noqa: S608


def lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def place(name: str) -> str:
    """A file of tests/cases as the topology has it: role's folder and name."""
    era, folder, name = name.split("/")
    return f"{folder}/{era}-{name}"


def topics(kafka: str, era: Era) -> dict[str, int]:
    """How many messages the era's topics have."""
    named = {"Plain": era.plain, "Analytics": era.unwanted, "EventError": "EventError"}
    found = {kind: count(kafka, f"{era.topic}_{schema}") for kind, schema in named.items()}
    return {**found, "mixed": count(kafka, f"{era.topic}-valid-mixed")}


def test_every_file_starts_or_is_refused_and_does_what_it_did(
    topology: Make, unique: Callable[[str], str], servers: dict[str, str], mariadb: str, tmp_path: Path
) -> None:
    kafka, mark = servers["k1:9092"], unique("m")
    eras = {name: Era(name, mark, tmp_path) for name in TOPICS}
    names = [name for era in eras.values() for name in (era.plain, era.unwanted)]
    site = topology({"EVENTLOGGING_SCHEMAS": str(schemas(tmp_path / "schemas", *names))})
    for era in eras.values():
        era.write(site, servers)
        for end in ENDS:
            modern.create(kafka, f"{era.topic}-{end}", 2)
    site.instance(
        "consumer/several",
        f"kafka-python://{kafka}/?topics={era.topic}_{era.plain},{era.topic}_{era.unwanted}&identity={mark}",
        f"{mariadb.partition('?')[0]}?batch_time=1",
    ).chmod(0o640)
    site.instance(
        "forwarder/forwarded",
        f"kafka:///{kafka}?topic={era.topic}-valid-mixed&blacklist=^Analytics&identity={mark}",
        f"file://{tmp_path}/forwarded.log",
    )

    said = site.ctl("start", expect=78).stderr
    for name, reason in REFUSED.items():
        assert f"eventloggingctl: {site.config_dir}/{place(name)}:{reason}" in said
    assert said.count("services: is no role's folder") == 1
    assert len(said.splitlines()) == len(REFUSED) + 1
    files = {str(path.relative_to(CASES)) for path in CASES.rglob("*") if path.is_file()}
    started = {place(name).replace("s/", "/", 1) for name in files - set(REFUSED) - {STRANGER}}
    assert set(site.pids()) == started | {"consumer/several", "forwarder/forwarded"}

    for era in eras.values():
        for end, sent in zip(ENDS, (era.unwanted_events(), era.server_lines(), era.client_lines()), strict=True):
            fill(kafka, f"{era.topic}-{end}", sent)
    wait_for(lambda: {name: topics(kafka, era) for name, era in eras.items()} == TOPICS, DEADLINE_S, "all topics")
    wait_for(lambda: {name: era.logged() for name, era in eras.items()} == LOGS, DEADLINE_S, "all log files")
    wait_for(lambda: lines(tmp_path / "forwarded.log") == 700, DEADLINE_S, "what the forwarder leaves over")
    # A batch of 2017 may wait for five minutes; whoever stops writes it.
    site.ctl("stop", "consumer")
    found = {name: (rows(mariadb, f"{era.plain}_1"), rows(mariadb, f"{era.unwanted}_1")) for name, era in eras.items()}
    assert found == ROWS
    passed = logged(site.run_dir / "log" / "processor-2017-01-client-side-00.log", "passed over: it means nothing here")
    assert [entry["what"] for entry in passed] == ["api_version", "retries", "retry_backoff_ms"]
