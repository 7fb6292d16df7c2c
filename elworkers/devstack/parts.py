# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures and starts Kafka, ZooKeeper and MariaDB, and tells when they answer."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.kafka.errors import UnsupportedBrokerError
from elworkers.core.errors import RetryableError
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache
from elworkers.devstack.hdfs import DataNode, NameNode
from elworkers.devstack.part import HOST, Part, Ports, java, run
from elworkers.devstack.varnish import Varnish

USER = PASSWORD = "eventlogging"  # noqa: S105 - of a database that only this machine reaches
DATABASE = "log"
_CLUSTER_ID = "ZWx3b3JrZXJzLWRldnN0YQ"


@dataclass(frozen=True)
class Kafka(Part):
    """Kafka 3.9.1, one node that is broker and controller (KRaft).

    Attributes:
        jars: the artifacts that it runs from.
        variable: what `env` calls it.
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
        listener, controller = f"{HOST}:{ports[self.ports[0]]}", f"{HOST}:{ports[self.ports[1]]}"
        first = self.node == 1
        settings = {
            "process.roles": "broker,controller" if first else "broker",
            "node.id": self.node,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{listener}" + (f",CONTROLLER://{controller}" if first else ""),
            "advertised.listeners": f"PLAINTEXT://{self.advertised}:{ports[self.ports[0]]}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": home / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "message.max.bytes": 4 * 1024 * 1024,
            # Events of 2016 keep their times; retention by time would delete them while they are read.
            "log.retention.ms": -1,
            "log.message.timestamp.before.max.ms": 2**63 - 1,
            "num.partitions": 1,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        }
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        jars = cache.jars(self.jars)
        if not (home / "data" / "meta.properties").exists():
            main = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties)]
            run(java(cache, jars, 256, main, home), home / "format.log", "kafka")
        return java(cache, jars, 512, ["kafka.Kafka", str(properties)], home)

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`."""
        try:
            admin = driver().admin([f"{HOST}:{ports[self.ports[0]]}"])
        except RetryableError:
            return False
        except UnsupportedBrokerError:
            # It answers that it is too new.
            return True
        with contextlib.closing(admin):
            return self.node in admin.brokers()

    def env(self, ports: Ports) -> dict[str, str]:
        """See `Part.env`."""
        return {self.variable: f"{HOST}:{ports[self.ports[0]]}"}


@dataclass(frozen=True)
class ZooKeeper(Part):
    """ZooKeeper 3.8, which is among Kafka's jars."""

    name: str = "zookeeper"
    ports: tuple[str, ...] = ("zookeeper",)

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        settings = home / "zoo.cfg"
        settings.write_text(
            f"tickTime=500\ndataDir={home}/data\nclientPort={ports['zookeeper']}\nclientPortAddress={HOST}\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n",
            encoding="utf-8",
        )
        main = ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]
        return java(cache, cache.jars("kafka"), 128, main, home)

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`."""
        try:
            with socket.create_connection((HOST, ports["zookeeper"]), timeout=2) as asked:
                asked.sendall(b"srvr")
                answer = b""
                while chunk := asked.recv(4096):
                    answer += chunk
        except OSError:
            return False
        return b"Mode:" in answer

    def env(self, ports: Ports) -> dict[str, str]:
        """See `Part.env`."""
        return {"ZOOKEEPER": f"{HOST}:{ports['zookeeper']}"}


@dataclass(frozen=True)
class MariaDB(Part):
    """MariaDB 11.4 with a database `log` and a user for it.

    Attributes:
        variable: what `env` calls it.
        options: further ones of the server.
    """

    name: str = "mariadb"
    ports: tuple[str, ...] = ("mariadb",)
    variable: str = "MYSQL_URL"
    options: tuple[str, ...] = ()

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        base = cache.mariadb()
        data, scratch_files = home / "data", home / "tmp"
        scratch_files.mkdir(exist_ok=True)
        user = ["--user=root"] if os.geteuid() == 0 else []
        if not (data / "mysql").is_dir():
            shutil.rmtree(data, ignore_errors=True)
            # Elsewhere first: the script quotes no folder's name, and half a database is never taken for a whole one.
            with tempfile.TemporaryDirectory(prefix="eventlogging-") as scratch:
                command = [str(_tool(base, "mariadb-install-db")), "--no-defaults", f"--basedir={base}"]
                command += [f"--datadir={scratch}/data", "--auth-root-authentication-method=normal", "--skip-test-db"]
                run([*command, *user], home / "install.log", "mariadb")
                shutil.move(Path(scratch) / "data", data)
        return [
            str(_tool(base, "mariadbd")),
            "--no-defaults",
            *user,
            f"--basedir={base}",
            f"--datadir={data}",
            # In a folder of others a server that starts removes the temporary tables of those that run.
            f"--tmpdir={scratch_files}",
            f"--bind-address={HOST}",
            f"--port={ports[self.name]}",
            # Relative to the data folder: the path of a Unix socket has room for 107 characters.
            "--socket=mariadb.sock",
            "--character-set-server=utf8mb4",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2",
            "--max-connections=200",
            # Keys of its own would take it between 4 and 26 s at each start.
            "--skip-ssl",
            *self.options,
        ]

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`; makes the database and its user where they are not there."""
        try:
            with pymysql.connect(host=HOST, port=ports[self.name], user="root", connect_timeout=2) as connection:
                cursor = connection.cursor()
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{DATABASE}` CHARACTER SET utf8mb4")
                cursor.execute(f"CREATE USER IF NOT EXISTS `{USER}`@`%` IDENTIFIED BY '{PASSWORD}'")
                cursor.execute(f"GRANT ALL ON `{DATABASE}`.* TO `{USER}`@`%`")
        except pymysql.Error:
            return False
        return True

    def env(self, ports: Ports) -> dict[str, str]:
        """See `Part.env`."""
        return {self.variable: f"mysql://{USER}:{PASSWORD}@{HOST}:{ports[self.name]}/{DATABASE}?charset=utf8mb4"}


def _tool(base: Path, name: str) -> Path:
    for folder in ("bin", "scripts", "sbin"):
        if (base / folder / name).exists():
            return base / folder / name
    raise DevstackError(f"mariadb: there is no {name} below {base}; remove that folder and run the command again")


PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (
        Kafka(),
        ZooKeeper(),
        MariaDB(),
        NameNode(),
        DataNode(),
        Varnish(),
        # Another broker of the same cluster, for leaders that move.
        Kafka("kafka-2", ("kafka-2", "kafka-controller"), variable="KAFKA_2", node=2),
        # Takes names of tables that differ in case for the same, as servers on Windows do.
        MariaDB(
            "mariadb-lower",
            ("mariadb-lower",),
            variable="MYSQL_LOWER_URL",
            options=("--lower-case-table-names=1",),
        ),
        # Too new for pykafka, which has to be said at start.
        Kafka("kafka4", ("kafka4", "kafka4-controller"), "kafka4", "KAFKA4"),
    )
}
