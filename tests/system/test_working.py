# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""RUNNING means working: `start`, `restart` and `update` wait for the workers' places, and say who has none and why."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from brokeradmin import add_partitions
from topology import BIN, Topology, free_udp_port
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver

Make = Callable[..., Topology]
Unique = Callable[[str], str]
DEADLINE_S = 30.0
NO_DEADLINE = "--wait=1000000"
"""A command that ends with it has found out by itself that there is nothing to wait for."""
OPTIONS = "auto_offset_reset=earliest&session_timeout_ms=2000&partitions=2"


def states(site: Topology) -> dict[str, list[str]]:
    return {said["instance"]: [one["state"] for one in said["workers"]] for said in site.states()}


def consumer(site: Topology, kafka: str, topic: str, *more: str) -> None:
    uri = f"kafka:///{kafka}?topic={topic}&raw=True&identity={topic}&{OPTIONS}"
    site.instance("consumer/file", uri, f"file://{site.run_dir}/out", *more)


def test_whoever_has_started_has_its_place_in_the_group(topology: Make, kafka: str, unique: Unique) -> None:
    site = topology({})
    consumer(site, kafka, unique("place"), "--workers=3")
    for verb in ("start", "restart", "update"):
        shown = site.ctl(verb).stdout
        assert re.search(r"file +RUNNING +\d+ +\d:\d\d:\d\d +3/3", shown)
        assert set(states(site)["file"]) <= {"running", "idle"}
        with (site.config_dir / "consumers" / "file").open("a", encoding="utf-8") as file:
            file.write("# one more line\n")


def test_a_worker_that_finds_nobody_is_named_with_the_reason(topology: Make) -> None:
    site = topology({})
    site.instance("forwarder/good", f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/good")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        consumer(site, f"127.0.0.1:{nobody.getsockname()[1]}", "t")
        done = site.ctl("start", NO_DEADLINE, expect=1)
        # Kafka may come back meanwhile.
        (said,) = [said for said in site.states() if said["instance"] == "file"]
        assert time.monotonic() - said["workers"][0]["reason_since"] >= 10
    assert re.search(r"file +WAITING .* 1/1\n +waits since .*: Kafka: .*127\.0\.0\.1", done.stdout)
    assert re.search(r"good +RUNNING .* 1/1", done.stdout)
    for verb in ("restart", "update"):
        assert "WAITING" in site.ctl(verb, "--wait=6", expect=1).stdout
    assert not site.ctl("start", "--no-wait").stdout


def test_a_worker_that_is_not_there_in_time_is_no_running_one(topology: Make) -> None:
    site = topology({})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        consumer(site, f"127.0.0.1:{silent.getsockname()[1]}", "t")
        shown = site.ctl("start", "--wait=4", expect=1).stdout
        assert re.search(
            r"file +STARTING .* 1/1\n +1 of 1 workers have not joined their group, or not bound their port, yet", shown
        )
        # It is on its way; nobody is to be called for that.
        assert site.ctl("check").stdout == "OK: 1 EventLogging jobs are running.\n"
        site.ctl("stop")


@pytest.mark.parametrize("scheme", ["udp", "http"])
def test_a_door_whose_port_is_taken_does_not_run(topology: Make, scheme: str) -> None:
    site = topology({})
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if scheme == "http":
            other.listen()
        address = f"{scheme}://127.0.0.1:{other.getsockname()[1]}"
        site.instance(
            "forwarder/door", f"{address}/beacon/event" if scheme == "http" else address, f"file://{site.run_dir}/out"
        )
        for verb in ("start", "restart", "update", "status"):
            words = () if verb == "status" else ("--wait=3",)
            shown = site.ctl(verb, *words, expect=1).stdout
            assert re.search(rf"(?s)door +WAITING .*? 0/1\n.* waits since .*: {address}: cannot be bound", shown), verb
        assert site.ctl("check", expect=2).stdout.startswith("CRITICAL: Stopped EventLogging jobs: forwarder/door")
    wait_for(lambda: site.ctl("status", expect=None).returncode == 0, DEADLINE_S, "the port")


def test_workers_that_have_done_their_work_are_not_waited_for(topology: Make) -> None:
    site = topology({})
    (site.run_dir / "in").write_bytes(b"one\n")
    site.instance("consumer/once", f"file://{site.run_dir}/in?raw=True", f"file://{site.run_dir}/out")
    site.ctl("start")
    assert (site.run_dir / "out").read_bytes() == b"one\n"
    ended = lambda: "EXITED" in site.ctl("status", expect=None).stdout  # noqa: E731
    wait_for(ended, DEADLINE_S, "the end of a job that is done")


def test_one_that_dies_again_and_again_is_said_at_once(topology: Make, kafka: str, unique: Unique) -> None:
    site = topology({})
    consumer(site, kafka, unique("dies"))
    site.ctl("start")
    for _ in range(2):
        (said,) = site.states()
        worker = said["workers"][0]["pid"]
        os.kill(worker, signal.SIGKILL)
        wait_for(
            lambda worker=worker: states(site) and next(site.states())["workers"][0]["pid"] not in (None, worker),
            DEADLINE_S,
            "the next",
        )
    shown = site.ctl("start", NO_DEADLINE, expect=1).stdout
    assert "CRASHING" in shown
    assert "died 2 times in ten minutes" in shown
    assert json.loads((site.run_dir / "state" / "consumer-file.json").read_text(encoding="utf-8"))["wanted"] == 1


def test_one_that_has_said_nothing_of_its_workers_yet_is_waited_for(topology: Make, tmp_path: Path) -> None:
    site = topology({})
    site.instance("forwarder/slow", f"udp://127.0.0.1:{free_udp_port()}", f"file://{site.run_dir}/out")
    begins = tmp_path / "begins"
    command = tmp_path / "eventlogging-forwarder"
    command.write_text(
        f"""#!/bin/sh
until [ -e "{begins}" ]; do sleep 0.05; done
exec "{BIN}/eventlogging-forwarder" "$@"
""",
        encoding="utf-8",
    )
    command.chmod(0o755)
    words = ["--command-dir", str(tmp_path)]
    shown = site.ctl("start", "--wait=6", *words, expect=1).stdout
    assert re.search(r"slow +STARTING .* -\n +its workers have not reported their state yet", shown)
    begins.touch()
    assert re.search(r"slow +RUNNING .* 1/1", site.ctl("start", *words).stdout)


def topology_of_two(site: Topology, kafka: str, topic: str, door: int) -> None:
    schemas = f"kafka:///{kafka}?topic={topic}_{{schema}}&partitions=3"
    uri = f"kafka:///{kafka}?topic={topic}&identity={topic}&session_timeout_ms=2000&metadata_max_age_ms=2000"
    site.instance("processor/p", "%j", uri, schemas)
    site.instance("forwarder/f", f"udp://127.0.0.1:{door}", f"kafka:///{kafka}?topic={topic}&raw=True&partitions=4")
    site.instance("consumer/c", f"kafka:///{kafka}?topic={topic}_Edit&identity={topic}", "stdout:")


def test_topics_are_made_as_any_instance_file_says(topology: Make, kafka: str, unique: Unique) -> None:
    site, topic, door = topology({}), unique("planned"), free_udp_port()
    topology_of_two(site, kafka, topic, door)
    site.ctl("start", "processor/p")
    admin = driver().admin([kafka])
    assert len(admin.ends(topic)) == 4
    assert "not as configured" not in site.ctl("start").stdout
    assert len(admin.ends(f"{topic}_Edit")) == 3


def test_a_topic_that_is_not_as_a_file_says_is_named(topology: Make, kafka: str, unique: Unique) -> None:
    site, topic = topology({}), unique("other")
    driver().admin([kafka]).get_or_create(topic, 1)
    topology_of_two(site, kafka, topic, free_udp_port())
    said = f"topic {topic}: it has 1 partition, and forwarder/f says partitions=4"
    shown = site.ctl("start", "processor/p").stdout
    assert f"    not as configured: {said}\n" in shown
    entries = [json.loads(line) for line in site.log("processor/p").splitlines() if line.startswith("{")]
    (entry,) = [entry for entry in entries if entry["event"] == "not as it was configured"]
    assert f"{entry['what']}: {entry['reason']}" == said
    add_partitions(kafka, topic, 4)
    wait_for(lambda: "not as" not in site.ctl("status", "processor/p", expect=None).stdout, 90, "the others")


def test_what_a_neighbour_says_and_kafka_cannot_do_holds_up_nobody_else(
    topology: Make, kafka: str, unique: Unique
) -> None:
    site, topic = topology({}), unique("neighbour")
    topology_of_two(site, kafka, topic, free_udp_port())
    consumer(site, kafka, topic)
    wide = f"kafka:///{kafka}?raw=True&partitions=7&replication=30&topic="
    site.instance("forwarder/wide", f"udp://127.0.0.1:{free_udp_port()}", f"{wide}{topic}")
    shown = site.ctl("start", "processor/p", "consumer").stdout
    assert "it has 1 replica, and forwarder/wide says replication=30" in shown
    assert len(driver().admin([kafka]).ends(topic)) == 7


def test_a_file_that_has_become_broken_still_says_what_it_said(topology: Make) -> None:
    site = topology({})
    uri = "kafka:///k1:9092?topic=raw&raw=True&partitions="
    for name, partitions in (("good", 4), ("other", 2)):
        site.instance(f"forwarder/{name}", "udp://127.0.0.1:1", f"{uri}{partitions}")
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    init = [BIN / "eventlogging-init", *folders]
    subprocess.run(init, check=True, timeout=60)
    site.instance("forwarder/good", "udp://127.0.0.1:1", f"{uri}4", "--slip")
    (site.config_dir / "forwarders" / "other").unlink()
    assert subprocess.run(init, check=False, timeout=60).returncode == 78
    (said,) = json.loads((site.run_dir / "topics.json").read_text(encoding="utf-8"))
    assert (said["where"], said["partitions"]) == ("forwarder/good", 4)
