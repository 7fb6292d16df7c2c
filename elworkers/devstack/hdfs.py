# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures and starts a NameNode and a DataNode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import requests

from elworkers.devstack.fetch import Cache
from elworkers.devstack.part import HOST, Part, Ports, java, run

USER = "eventlogging"
"""Who WebHDFS's requests say they are; HDFS believes them, as it does without Kerberos."""

_PACKAGE = "org.apache.hadoop.hdfs.server"
_ANSWER_S = 3
_ANYBODY = "777"


def _data(home: Path) -> str:
    # By the working folder: the DataNode takes an escaped blank in its folder's URI for a format.
    return f"file:///proc/self/cwd/{home.name}"


def _configure(home: Path, ports: Ports, settings: Mapping[str, object]) -> Path:
    conf = home / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    rpc = f"{HOST}:{ports['hdfs-rpc']}"
    shared = {
        "fs.defaultFS": f"hdfs://{rpc}",
        "dfs.namenode.rpc-address": rpc,
        "hadoop.tmp.dir": f"/proc/self/cwd/{home.name}/tmp",  # noqa: S108 - in the stack's own folder
        "dfs.replication": 1,
        "dfs.namenode.fs-limits.min-block-size": 4096,
        # A DataNode that is away is known to be so after 2 rechecks and 10 heartbeats (12 s), not after ten minutes.
        "dfs.namenode.heartbeat.recheck-interval": 1000,
        "dfs.heartbeat.interval": 1,
        "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
    }
    rows = "".join(
        f"<property><name>{name}</name><value>{escape(str(value))}</value></property>\n"
        for name, value in {**shared, **settings}.items()
    )
    for name in ("core-site.xml", "hdfs-site.xml"):
        (conf / name).write_text(f"<configuration>\n{rows}</configuration>\n", encoding="utf-8")
    return conf


@dataclass(frozen=True)
class NameNode(Part):
    """HDFS 3.4's NameNode; its HTTP port is WebHDFS's."""

    name: str = "hdfs"
    ports: tuple[str, ...] = ("webhdfs", "hdfs-rpc")
    companions: tuple[str, ...] = ("hdfs-datanode",)

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        conf = _configure(
            home,
            ports,
            {
                "dfs.namenode.name.dir": f"{_data(home)}/data",
                "dfs.namenode.http-address": f"{HOST}:{ports['webhdfs']}",
                "dfs.namenode.safemode.extension": 0,
                "dfs.namenode.datanode.registration.ip-hostname-check": "false",
                "dfs.namenode.edits.noeditlogchannelflush": "true",
            },
        )
        jars = cache.jars("hdfs")
        main = f"{_PACKAGE}.namenode.NameNode"
        if not (home / "data" / "current" / "VERSION").exists():
            run(
                java(cache, jars, 256, [main, "-format", "-nonInteractive"], home, conf), home / "format.log", self.name
            )
        return java(cache, jars, 256, [main], home, conf)

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`; without a DataNode it cannot leave safe mode, which `DataNode.answers` looks at."""
        return _get(ports, "/webhdfs/v1/?op=LISTSTATUS") is not None

    def env(self, ports: Ports) -> dict[str, str]:
        """See `Part.env`."""
        return {"WEBHDFS": f"webhdfs://{USER}@{HOST}:{ports['webhdfs']}"}


@dataclass(frozen=True)
class DataNode(Part):
    """The one DataNode of that NameNode."""

    name: str = "hdfs-datanode"
    ports: tuple[str, ...] = ("datanode", "datanode-http", "datanode-ipc")

    def prepare(self, home: Path, ports: Ports, cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        conf = _configure(
            home,
            ports,
            {
                "dfs.datanode.data.dir": f"{_data(home)}/data",
                "dfs.datanode.address": f"{HOST}:{ports['datanode']}",
                "dfs.datanode.http.address": f"{HOST}:{ports['datanode-http']}",
                "dfs.datanode.ipc.address": f"{HOST}:{ports['datanode-ipc']}",
                "dfs.datanode.hostname": HOST,
                "dfs.blockreport.initialDelay": 0,
                # A file is whole once the NameNode knows of its last block; WebHDFS waits 400 ms before it asks again.
                "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": 10,
            },
        )
        return java(cache, cache.jars("hdfs"), 256, [f"{_PACKAGE}.datanode.DataNode"], home, conf)

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`; lets everybody make folders in the root, as an administrator would do for `USER`."""
        if not self._serves(ports) or _bean(ports, "NameNodeInfo").get("Safemode", "unknown"):
            return False
        root = _get(ports, "/webhdfs/v1/?op=GETFILESTATUS")
        return root is not None and _opened(ports, root.json()["FileStatus"])

    @staticmethod
    def _serves(ports: Ports) -> bool:
        # Its port, not the NameNode's list: there a DataNode that was killed lives on for some seconds.
        try:
            requests.get(f"http://{HOST}:{ports['datanode-http']}/jmx", timeout=_ANSWER_S)
        except requests.RequestException:
            return False
        return _bean(ports, "FSNamesystemState").get("NumLiveDataNodes") == 1


def _get(ports: Ports, path: str) -> requests.Response | None:
    try:
        answer = requests.get(f"http://{HOST}:{ports['webhdfs']}{path}", timeout=_ANSWER_S)
    except requests.RequestException:
        return None
    return answer if answer.ok else None


def _opened(ports: Ports, root: Mapping[str, str]) -> bool:
    if root["permission"] == _ANYBODY:
        return True
    # Only a superuser may: whoever started the NameNode, and so owns the root.
    asked = {"op": "SETPERMISSION", "permission": _ANYBODY, "user.name": root["owner"]}
    try:
        return requests.put(f"http://{HOST}:{ports['webhdfs']}/webhdfs/v1/", params=asked, timeout=_ANSWER_S).ok
    except requests.RequestException:
        return False


def _bean(ports: Ports, name: str) -> Mapping[str, object]:
    answer = _get(ports, f"/jmx?qry=Hadoop:service=NameNode,name={name}")
    found: list[Mapping[str, object]] = answer.json()["beans"] if answer is not None else []
    return found[0] if found else {}
