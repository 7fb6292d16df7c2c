# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures and starts Kafka: brokers that let everybody in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elworkers.devstack import asking
from elworkers.devstack.fetch import Cache
from elworkers.devstack.part import HOST, Part, Ports, java, run

_CLUSTER_ID = "ZWx3b3JrZXJzLWRldnN0YQ"
NEWEST, RELEASE = "kafka44", "4.4"
"""The artifacts of the newest Kafka, and what it calls itself."""
_RUNS_ON = "runs-on"
_STORAGE_TOOL = "kafka.tools.StorageTool"


@dataclass(frozen=True)
class Kafka(Part):
    """Kafka, one node that is broker and controller (KRaft), or a further broker of its cluster.

    Attributes:
        jars: the artifacts that it runs from.
        variable: what `env` calls it.
        node: 1 for the one that is the controller too.
        advertised: the host that it tells its clients.
    """

    name: str = "kafka"
    ports: tuple[str, ...] = ("kafka", "kafka-controller")
    jars: str = "kafka"
    variable: str = "KAFKA"
    node: int = 1
    advertised: str = HOST

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        properties = home / "kraft.properties"
        settings = {**self.common(home), **self.listeners(home, ports)}
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        jars = cache.jars(self._runs_on(home))
        if not (home / "data" / "meta.properties").exists():
            main = [_STORAGE_TOOL, "format", "-t", _CLUSTER_ID, "-c", str(properties), *self.format_options()]
            run(_tool(cache, jars, main, home), home / "format.log", self.name)
        program, *words = java(cache, jars, 512, ["kafka.Kafka", str(properties)], home)
        return [program, *(f"-D{name}={value}" for name, value in self.system_properties(ports).items()), *words]

    def common(self, home: Path) -> dict[str, object]:
        """Return the settings of every broker."""
        return {
            "process.roles": "broker,controller" if self.node == 1 else "broker",
            "node.id": self.node,
            "log.dirs": home / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # Of groups that the brokers manage: a member has no say in these.
            "group.consumer.min.session.timeout.ms": 1000,
            "group.consumer.session.timeout.ms": 5000,
            "group.consumer.min.heartbeat.interval.ms": 500,
            "group.consumer.heartbeat.interval.ms": 1000,
            "message.max.bytes": 4 * 1024 * 1024,
            # Events of 2016 keep their times; retention by time would delete them while they are read.
            "log.retention.ms": -1,
            "log.message.timestamp.before.max.ms": 2**63 - 1,
            "num.partitions": 1,
            # Each broker is a rack of its own: consumers that name one read its replicas.
            "broker.rack": f"rack-{self.node}",
            "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        }

    def listeners(self, _home: Path, ports: Ports) -> dict[str, object]:
        """Return the settings that say where it listens, and whom it lets in."""
        listener, controller = f"{HOST}:{ports[self.ports[0]]}", f"{HOST}:{ports[self.ports[1]]}"
        return {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{listener}" + (f",CONTROLLER://{controller}" if self.node == 1 else ""),
            "advertised.listeners": f"PLAINTEXT://{self.advertised}:{ports[self.ports[0]]}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }

    def format_options(self) -> list[str]:
        """Return what the tool that makes the data folder is told beside the settings."""
        return []

    def system_properties(self, _ports: Ports) -> Mapping[str, str]:
        """Return properties for Java."""
        return {}

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`."""
        return self.node in asking.cluster(HOST, ports[self.ports[0]]).brokers

    def in_sync(self, ports: Ports) -> bool:
        """Return whether the broker answers, and says that every replica is in sync."""
        known = asking.cluster(HOST, ports[self.ports[0]])
        return self.node in known.brokers and not known.behind

    def upgrade(self, home: Path) -> bool:
        """Take the newest Kafka from the next start on; whether it is another than before."""
        before = self._runs_on(home)
        (home / _RUNS_ON).write_text(NEWEST, encoding="utf-8")
        return before != NEWEST

    def finish_upgrade(self, home: Path, ports: Ports, cache: Cache) -> None:
        """Let the cluster use what its brokers' version has.

        Raises:
            DevstackError: it refuses.
        """
        jars = cache.jars(self._runs_on(home))
        main = ["org.apache.kafka.tools.FeatureCommand", "--bootstrap-server", f"{HOST}:{ports[self.ports[0]]}"]
        run(
            java(cache, jars, 256, [*main, "upgrade", "--release-version", RELEASE], home),
            home / "upgrade.log",
            self.name,
        )

    def _runs_on(self, home: Path) -> str:
        try:
            return (home / _RUNS_ON).read_text(encoding="utf-8")
        except FileNotFoundError:
            return self.jars

    def env(self, ports: Ports) -> dict[str, str]:
        """See `Part.env`."""
        return {self.variable: f"{HOST}:{ports[self.ports[0]]}"}


def _tool(cache: Cache, jars: Sequence[Path], main: Sequence[str], home: Path) -> list[str]:
    program, *words = java(cache, jars, 256, main, home)
    # What ends at once is not worth being compiled well: that took half of its time.
    return [program, "-XX:TieredStopAtLevel=1", *words]
