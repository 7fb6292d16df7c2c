# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The reporter by its installed command: it finds what there is to report in the instance files."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest
from statsd import HOST, Statsd
from topology import BIN, Topology
from waiting import wait_for

DEADLINE_S = 60.0


def produce(kafka: str, topic: str, lines: list[str]) -> None:
    command = [BIN / "eventlogging-forwarder", "stdin:", f"kafka:///{kafka}?topic={topic}"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, capture_output=True, timeout=DEADLINE_S)


def event(number: int, schema: str = "EchoMail") -> str:
    capsule = {
        "event": {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"},
        "schema": schema,
        "revision": 5467650,
        "wiki": "w",
        "recvFrom": "h",
        "timestamp": 1469795696,
        "seqId": number,
    }
    return json.dumps(capsule)


@pytest.mark.parametrize(
    ("option", "p"), [("--statsd-names=host", f"eventlogging.{HOST}"), ("--statsd-names=original", "eventlogging")]
)
def test_counts_by_schema_and_lag_of_what_the_instances_name(
    topology: Callable[..., Topology], kafka: str, unique: Callable[[str], str], option: str, p: str
) -> None:
    own, statsd = unique("site"), Statsd()
    site = topology({"EVENTLOGGING_PREFIX": own, "KAFKA": kafka})
    source = "kafka:///${env:KAFKA}?topic=${env:EVENTLOGGING_PREFIX}-raw&auto_offset_reset=earliest"
    site.instance(
        "processor/one",
        "%j",
        source,
        "--sid=${env:EVENTLOGGING_PREFIX}-group",
        "kafka:///${env:KAFKA}?topic=${env:EVENTLOGGING_PREFIX}_{schema}",
        "--output-invalid",
    )
    site.instance("reporter/r", "--host=127.0.0.1", f"--port={statsd.port}", "--interval=0.3", option)
    site.ctl("start")
    lag = f"{p}.lag.{own}-group.{own}-raw"
    wait_for(lambda: statsd.read().gauges.get(lag) == 0, DEADLINE_S, f"the gauge {lag}")

    produce(
        kafka, f"{own}-raw", [*map(event, range(1, 31)), event(31, "No.Such:Schema"), "{", event(32, "x" * 100_000)]
    )
    wanted = {
        f"{p}.overall.raw": 33,
        f"{p}.raw.{own}-raw": 33,
        f"{p}.overall.valid": 30,
        f"{p}.schema.EchoMail.valid": 30,
        f"{p}.overall.invalid": 3,
        f"{p}.schema.No_Such_Schema.invalid": 1,
        f"{p}.schema.unknown.invalid": 1,
    }

    def counted() -> dict[str, int]:
        statsd.read()
        return {name: statsd.counters[name] for name in wanted}

    wait_for(lambda: counted() == wanted, DEADLINE_S, "the counts")

    # One that stands still while its topic grows: its lag is what nobody has committed.
    site.ctl("stop", "processor")
    produce(kafka, f"{own}-raw", list(map(event, range(100, 107))))
    wait_for(lambda: statsd.read().gauges.get(lag) == 7, DEADLINE_S, "a lag of 7")

    # An instance that comes while the reporter runs is reported as well.
    site.instance("consumer/late", source, "--sid=${env:EVENTLOGGING_PREFIX}-late", "stdout:")
    late = f"{p}.lag.{own}-late.{own}-raw"
    wait_for(lambda: late in statsd.read().gauges, DEADLINE_S, f"the gauge {late}")


def test_an_interval_may_be_longer_than_a_worker_may_be_silent(topology: Callable[..., Topology]) -> None:
    site = topology({})
    site.instance("reporter/r", "--interval=60", "--worker-timeout=1")
    site.ctl("start")
    wait_for(lambda: any(said["workers"] for said in site.states()), DEADLINE_S, "a worker")
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() - begun > 3, DEADLINE_S, "several looks of the parent")
    assert [worker["restarts"] for said in site.states() for worker in said["workers"]] == [0]
    assert "makes no progress" not in site.log("reporter/r")


def test_brokers_that_are_away_silence_no_others_and_can_be_corrected(
    topology: Callable[..., Topology], kafka: str, unique: Callable[[str], str]
) -> None:
    own, statsd = unique("site"), Statsd()
    produce(kafka, f"{own}-raw", ["{}"])
    site = topology({})
    site.instance("consumer/right", f"kafka:///{kafka}?topic={own}-raw", f"--sid={own}-right", "stdout:")
    site.instance("consumer/wrong", f"kafka:///127.0.0.1:1?topic={own}-raw", f"--sid={own}-wrong", "stdout:")
    site.instance("reporter/r", "--host=127.0.0.1", f"--port={statsd.port}", "--interval=0.3")
    site.ctl("start", "--no-wait", "reporter")
    right, wrong = (f"eventlogging.{HOST}.lag.{own}-{which}.{own}-raw" for which in ("right", "wrong"))
    wait_for(lambda: right in statsd.read().gauges, DEADLINE_S, f"the gauge {right}")
    site.instance("consumer/wrong", f"kafka:///{kafka}?topic={own}-raw", f"--sid={own}-wrong", "stdout:")
    wait_for(lambda: wrong in statsd.read().gauges, DEADLINE_S, f"the gauge {wrong}")
