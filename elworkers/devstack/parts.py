# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the parts; configures and starts ZooKeeper and MariaDB, and tells when they answer."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql

from elworkers.devstack import locked
from elworkers.devstack.errors import DevstackError
from elworkers.devstack.fetch import Cache
from elworkers.devstack.hdfs import DataNode, NameNode
from elworkers.devstack.kafka import Kafka
from elworkers.devstack.locked import LockedKafka
from elworkers.devstack.part import HOST, Part, Ports, java, run
from elworkers.devstack.tokens import TokenServer
from elworkers.devstack.varnish import Varnish

USER = PASSWORD = "eventlogging"  # noqa: S105 - of a database that only this machine reaches
DATABASE = "log"


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
        # Further brokers of the same cluster, for leaders that move.
        Kafka("kafka-2", ("kafka-2", "kafka-controller"), variable="KAFKA_2", node=2),
        Kafka("kafka-3", ("kafka-3", "kafka-controller"), variable="KAFKA_3", node=3),
        # Takes names of tables that differ in case for the same, as servers on Windows do.
        MariaDB(
            "mariadb-lower",
            ("mariadb-lower",),
            variable="MYSQL_LOWER_URL",
            options=("--lower-case-table-names=1",),
        ),
        # Too new for pykafka, which has to be said at start.
        Kafka("kafka4", ("kafka4", "kafka4-controller"), "kafka4", "KAFKA4"),
        # The newest.
        Kafka("kafka44", ("kafka44", "kafka44-controller"), "kafka44", "KAFKA44"),
        Kafka("kafka44-2", ("kafka44-2", "kafka44-controller"), "kafka44", "KAFKA44_2", node=2),
        Kafka("kafka44-3", ("kafka44-3", "kafka44-controller"), "kafka44", "KAFKA44_3", node=3),
        TokenServer(),
        # Let nobody in who has no right to.
        LockedKafka("kafka-locked", locked.ports("kafka-locked"), "kafka", "KAFKA_LOCKED"),
        LockedKafka("kafka44-locked", locked.ports("kafka44-locked"), "kafka44", "KAFKA44_LOCKED"),
    )
}
