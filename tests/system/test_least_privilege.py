# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A whole topology on a broker that allows nothing but what docs/kafka.md lists for each role."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lockeddoors import LockedDoors
from topology import Topology
from waiting import wait_for

from elworkers.devstack.certificates import Signed, signed

DEADLINE_S = 120.0
Make = Callable[..., Topology]
COUNT = 20

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")


def rights(role: str) -> list[tuple[ResourceType, AclOperation, str]]:
    """What the table of docs/kafka.md lists for a role: on what kind of thing, what, and whose."""
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] == role:
            _, kind, operations, which = cells
            found += [(ResourceType[kind.upper()], AclOperation[one.strip()], which) for one in operations.split(",")]
    assert found, role
    return found


def certificate(doors: LockedDoors, folder: Path, user: str) -> str:
    """The options of a URI by which a new user is let in."""
    key = load_pem_private_key((doors.files / "ca.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((doors.files / "ca.pem").read_bytes())
    by = Signed(ca, key, doors.files / "ca.pem", doors.files / "ca.key")  # type: ignore[arg-type]
    made = signed(folder, user, by)
    return f"security_protocol=SSL&ssl_ca={by.file}&ssl_certificate={made.file}&ssl_key={made.key}"


def line(number: int, schema: str = "EchoMail") -> bytes:
    event = {"emailDeliveryMode": "daily_digest", "recipientUserId": number, "version": "1"}
    capsule = {"event": event, "schema": schema, "revision": 5467650, "wiki": "enwiki", "webHost": "en.wikipedia.org"}
    return "\t".join(["?" + quote(json.dumps(capsule)) + ";", "cp1", str(number), "2016-07-29T12:34:56"]).encode()


def imported(path: Path) -> bytes:
    """What an importer has published in a file; nothing of its own notes and of a folder."""
    return path.read_bytes() if path.is_file() and not path.name.startswith(("_", ".")) else b""


def test_each_role_needs_no_more_rights_than_the_documentation_lists(
    topology: Make, locked_kafka: LockedDoors, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    prefix, host = unique("least"), locked_kafka.hosts["mtls"]
    admin = AdminClient(locked_kafka.librdkafka("mtls"))
    raw_topic, valid, once, mixed = (f"{prefix}-{name}" for name in ("raw", "valid_", "once_", "mixed"))
    names = {
        "forwarder": {"output": [raw_topic]},
        "processor": {"input": [raw_topic], "output": [valid], "own": [f"{prefix}-p"]},
        "exactly_once": {
            "input": [raw_topic],
            "output": [once],
            "own": [f"{prefix}-x"],
            "transactions": [f"elworkers-{prefix}-x"],
        },
        "multiplexer": {"input": [valid, once], "output": [mixed], "own": [f"{prefix}-m"]},
        "consumer": {"input": [mixed], "errors": ["eventlogging_EventError"], "own": [f"{prefix}-c"]},
        "importer": {"input": [valid]},
        "reporter": {"every": [f"{prefix}-"]},
    }

    def uri(role: str, more: str) -> str:
        return f"kafka-confluent:///{host}?{users[role]}&{more}"

    users: dict[str, str] = {}
    acls = []
    for role, own in names.items():
        user = f"{prefix}-{role}".replace("_", "-")
        users[role] = certificate(locked_kafka, tmp_path, user)
        title = "processor with exactly_once=True" if role == "exactly_once" else role
        wanted = rights(title) + (rights("processor") if role == "exactly_once" else [])
        for kind, operation, which in wanted:
            for name in own[which]:
                acl = (kind, name, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation)
                acls.append(AclBinding(*acl, AclPermissionType.ALLOW))
    for made in admin.create_acls(acls).values():
        made.result(DEADLINE_S)

    statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    statsd.bind(("127.0.0.1", 0))
    statsd.settimeout(DEADLINE_S)
    site = topology({})
    raw, out = tmp_path / "raw.log", tmp_path / "out.log"
    raw.write_bytes(b"\n".join([*map(line, range(COUNT)), b"no event"]) + b"\n")
    earliest = "auto_offset_reset=earliest"
    site.instance("forwarder/raw", f"file://{raw}?follow=True", uri("forwarder", f"topic={prefix}-raw"))
    for role, group, written in (("processor", "p", "valid"), ("exactly_once", "x", "once")):
        site.instance(
            f"processor/{group}",
            "%q %{recvFrom}s %{seqId}d %t",
            uri(role, f"topic={prefix}-raw&identity={prefix}-{group}&{earliest}"),
            uri(role, f"topic={prefix}-{written}_{{schema}}{'&exactly_once=True' if written == 'once' else ''}"),
            "--output-invalid",
            uri(role, f"topic={prefix}-{written}_EventError{'&exactly_once=True' if written == 'once' else ''}"),
        )
    site.instance(
        "multiplexer/m",
        uri("multiplexer", f"topic={prefix}-mixed"),
        uri("multiplexer", f"topic={prefix}-valid_EchoMail,{prefix}-once_EchoMail&identity={prefix}-m&{earliest}"),
    )
    site.instance(
        "consumer/c", uri("consumer", f"topic={prefix}-mixed&identity={prefix}-c&{earliest}"), f"file://{out}"
    )
    base = tmp_path / "imported"
    site.instance(
        "importer/i",
        uri("importer", f"topics={prefix}-valid_.%2B"),
        f"file://{base}",
        "--every=2",
        "--grace=1",
        "--max-file-age=1",
    )
    site.instance(
        "reporter/r",
        f"--port={statsd.getsockname()[1]}",
        "--interval=1",
        "--kafka",
        f"kafka-confluent:///{host}?{users['reporter']}",
    )
    # Those that read wait until the topics were made by those that write.
    site.ctl("start", expect=None)
    wait_for(lambda: out.exists() and len(out.read_bytes().splitlines()) >= 2 * COUNT, DEADLINE_S, "events in the file")
    assert len(out.read_bytes().splitlines()) == 2 * COUNT
    with statsd:
        wait_for(lambda: f"lag.{prefix}-c".encode() in statsd.recv(65536), DEADLINE_S, "the lag of the consumer")
    wait_for(lambda: b"".join(map(imported, base.rglob("*"))).count(b"EchoMail") >= COUNT, DEADLINE_S, "an import")
