# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole topologies on real servers: the instance files of 2016, and one more processor for those of etc/."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pytest
from topology import BIN, ROOT, Topology, free_port, free_udp_port
from waiting import wait_for

from elworkers.devstack import Stack

DEADLINE_S = 60.0
Make = Callable[..., Topology]
GROUP_OPTIONS = "auto_commit_enable=True&auto_commit_interval_ms=1000&auto_offset_reset=-1"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Servers of their own: these files name their topics and groups themselves."""
    stack = Stack(tmp_path_factory.mktemp("servers"))
    try:
        stack.up("kafka", "zookeeper", "mariadb")
        yield stack.env()
    finally:
        stack.down()


def client_side(number: int, schema: str = "EchoMail", revision: int = 5467650) -> bytes:
    event = {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"}
    capsule = {"event": event, "schema": schema, "revision": revision, "wiki": "enwiki", "webHost": "en.wikipedia.org"}
    fields = ["?" + quote(json.dumps(capsule)) + ";", "cp1", str(number), "2016-07-29T12:34:56", "-", '"agent"']
    return "\t".join(fields).encode()


def server_side(number: int) -> bytes:
    event = {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"}
    capsule = {"event": event, "schema": "EchoMail", "revision": 5467650, "wiki": "enwiki", "recvFrom": "mw1"}
    return b"EventLogging " + json.dumps({**capsule, "timestamp": 1469796874 + number}).encode()


def produce(kafka: str, topic: str, lines: Iterable[bytes]) -> None:
    command = [BIN / "eventlogging-forwarder", "stdin:", f"kafka:///{kafka}?topic={topic}&partitions=4"]
    subprocess.run(command, input=b"\n".join(lines) + b"\n", check=True, capture_output=True, timeout=DEADLINE_S)


def send(port: int, datagram: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(datagram, ("127.0.0.1", port))


class Reader:
    """Reads a topic from its beginning with the installed consumer."""

    def __init__(self, kafka: str, topic: str) -> None:
        source = f"kafka:///{kafka}?topic={topic}&raw=True&identity=reader-{topic}&auto_offset_reset=earliest"
        self._process = subprocess.Popen(
            [BIN / "eventlogging-consumer", source, "stdout:"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE_S)
        self._thread.join()


@pytest.fixture
def reader(servers: dict[str, str]) -> Iterator[Callable[[str], Reader]]:
    made: list[Reader] = []

    def make(topic: str) -> Reader:
        made.append(Reader(servers["KAFKA"], topic))
        return made[-1]

    yield make
    for one in made:
        one.close()


def rows(servers: dict[str, str], table: str) -> list[tuple[Any, ...]]:
    login, _, place = servers["MYSQL_URL"].removeprefix("mysql://").partition("@")
    user, _, password = login.partition(":")
    host, _, port = place.partition("/")[0].partition(":")
    connection = pymysql.connect(host=host, port=int(port), user=user, password=password, database="log")
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES LIKE %s", (table,))
        if not cursor.fetchall():
            return []
        cursor.execute(f"SELECT uuid, event_recipientUserId FROM `{table}`")  # noqa: S608 - a name of ours
        return list(cursor.fetchall())


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_one_more_processor_takes_its_share_and_disturbs_nobody(topology: Make, servers: dict[str, str]) -> None:
    site = topology(
        {
            "KAFKA": servers["KAFKA"],
            "DATABASE_URL": servers["MYSQL_URL"],
            "EVENTLOGGING_UDP": f"127.0.0.1:{free_udp_port()}",
            "EVENTLOGGING_HTTP": f"127.0.0.1:{free_port()}",
        }
    )
    (site.run_dir / "env").open("a", encoding="utf-8").write(f"EVENTLOGGING_LOG_DIR={site.run_dir}\n")
    shutil.rmtree(site.config_dir)
    shutil.copytree(ROOT / "etc" / "eventlogging.d", site.config_dir)
    # There is no HDFS here.
    shutil.rmtree(site.config_dir / "importers")
    site.ctl("start")
    topic = "eventlogging-client-side"

    def shared_by(count: int) -> bool:
        owned = site.owned(topic)
        return len(owned) == count and sorted(chain(*owned.values())) == [0, 1, 2, 3]

    wait_for(lambda: shared_by(2), DEADLINE_S, "four partitions at two processors")
    before = site.pids()
    folder = site.config_dir / "processors"
    shutil.copy(folder / "client-side-01", folder / "client-side-02")
    done = site.ctl("update")
    # A worker may just be between two rebalances, which the lines below its own say.
    assert [line for line in done.stdout.splitlines() if line.endswith(": started")] == [
        "processor-client-side-02: started"
    ]
    wait_for(lambda: shared_by(3), DEADLINE_S, "four partitions at three processors")
    after = site.pids()
    assert after.pop("processor/client-side-02")
    assert after == before


def test_the_instance_files_of_2016_run_unchanged(
    topology: Make, servers: dict[str, str], reader: Callable[[str], Reader]
) -> None:
    kafka, zookeeper, port = servers["KAFKA"], servers["ZOOKEEPER"], free_udp_port()
    site = topology({})
    everything, raw_lines = site.run_dir / "all-events.log", site.run_dir / "client-side-events.log"
    processor_input = f"zookeeper_connect={zookeeper}&auto_commit_enable=True&auto_commit_interval_ms=10000"
    consumer_input = f"kafka:///{kafka}?topic=eventlogging-valid-mixed&zookeeper_connect={zookeeper}&{GROUP_OPTIONS}"
    outputs = [
        f"kafka:///{kafka},{kafka}?topic=eventlogging_{{schema}}",
        f"kafka:///{kafka},{kafka}?topic=eventlogging-valid-mixed&blacklist=^(Edit|MobileWikiAppSearch)$",
        "--output-invalid",
    ]
    site.instance(
        "forwarder/server-side-raw",
        f"udp://0.0.0.0:{port}",
        f"kafka:///{kafka},{kafka}?topic=eventlogging-server-side&async=False",
        "--count",
    )
    for name, text, topic in (
        ("client-side-00", "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i", "eventlogging-client-side"),
        ("server-side-0", "%{seqId}d EventLogging %j", "eventlogging-server-side"),
    ):
        source = f"kafka:///{kafka},{kafka}?topic={topic}&{processor_input}&auto_offset_reset=-1"
        site.instance(f"processor/{name}", "--sid", "eventlogging-00", text, source, *outputs)
    site.instance(
        "consumer/mysql-m4-master",
        f"{consumer_input}&identity=mysql-m4-master",
        servers["MYSQL_URL"].replace("utf8mb4", "utf8&statsd_host=127.0.0.1&replace=True"),
    )
    site.instance("consumer/all-events.log", f"{consumer_input}&identity=eventlogging-files-00", f"file://{everything}")
    site.instance(
        "consumer/client-side-events.log",
        f"kafka:///{kafka}?topic=eventlogging-client-side&raw=True&zookeeper_connect={zookeeper}&{GROUP_OPTIONS}"
        "&identity=eventlogging-files-01",
        f"file://{raw_lines}",
    )
    site.instance("reporter/statsd", "--host=127.0.0.1", "--port=8125")
    site.ctl("start")
    # Groups that begin at the latest offset must have their partitions before anything is sent.
    for topic, count in (("client-side", 2), ("server-side", 1), ("valid-mixed", 2)):
        name = f"eventlogging-{topic}"
        wait_for(
            lambda name=name, count=count: len(site.owned(name)) == count, DEADLINE_S, f"{count} readers of {name}"
        )

    sent = [client_side(number) for number in range(200)]
    produce(kafka, "eventlogging-client-side", [*sent, client_side(200, schema="NoSuchSchema"), client_side(201)[:40]])
    for number in range(1000, 1050):
        send(port, server_side(number))
    numbers = {*range(200), *range(1000, 1050)}

    wait_for(lambda: len(lines(everything)) >= len(numbers), DEADLINE_S, "lines in the log file")
    events = [json.loads(line) for line in lines(everything)]
    assert sorted(event["event"]["recipientUserId"] for event in events) == sorted(numbers)
    wait_for(lambda: len(rows(servers, "EchoMail_5467650")) >= len(numbers), DEADLINE_S, "rows in the database")
    assert {row[0] for row in rows(servers, "EchoMail_5467650")} == {event["uuid"] for event in events}
    wait_for(lambda: len(lines(raw_lines)) >= len(sent) + 2, DEADLINE_S, "raw lines")
    assert set(lines(raw_lines)) >= {line.decode() for line in sent}

    schema_topic, errors = reader("eventlogging_EchoMail"), reader("eventlogging_EventError")
    wait_for(lambda: len(schema_topic.events) >= len(numbers), DEADLINE_S, "events in their schema's topic")
    assert {event["uuid"] for event in schema_topic.events} == {event["uuid"] for event in events}
    wait_for(lambda: len(errors.events) >= 2, DEADLINE_S, "EventErrors")
    assert sorted(error["event"]["code"] for error in errors.events) == ["processor", "validation"]
    assert {error["event"]["schema"] for error in errors.events} == {"NoSuchSchema", "unknown"}
    site.ctl("status")
    password = servers["MYSQL_URL"].partition("//")[2].partition("@")[0]
    for title in site.pids():
        assert password not in site.log(title)
