# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Passwords in a running topology: none of what it writes or shows has any part of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import pymysql
import pytest
from topology import BIN, Topology, free_port, processes
from waiting import wait_for

from elworkers.config.uris import parse

Make = Callable[..., Topology]
DEADLINE_S = 30.0
GAPS = {
    "right": " \"'%",
    "denied": "@:/?",
    "away": "#&=;",
    "port": "é\t\\$",
    "extra": "%41+`",
    "option": "[]{}",
    "scheme": "<>|*",
    "store": "!~^,",
    "typed": "' \"%",
    "token": "'@\" ",
}
"""What stands between the parts of each password."""


def parts(name: str) -> list[str]:
    """Words that stand nowhere else."""
    return [f"Zq{name}{number}Xw" for number in range(len(GAPS[name]) + 1)]


def password(name: str) -> str:
    words = parts(name)
    return words[0] + "".join(gap + word for gap, word in zip(GAPS[name], words[1:], strict=True))


def encoded(name: str) -> str:
    return quote(password(name), safe="")


@pytest.fixture
def database(mariadb: str) -> Iterator[str]:
    """`HOST:PORT/DATABASE`, where the user `odd` has the right password."""
    uri = parse(mariadb)
    host, port = uri.endpoint(3306)
    with pymysql.connect(host=host, port=port, user="root", autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE OR REPLACE USER odd IDENTIFIED BY %s", (password("right"),))
        cursor.execute(f"GRANT ALL ON `{uri.path[1:]}`.* TO odd")
        yield f"{uri.hosts[0]}{uri.path}"
        cursor.execute("DROP USER odd")


def instances(site: Topology, database: str) -> None:
    secret = site.run_dir.parent / "secret"
    secret.write_text(encoded("right") + "\n", encoding="utf-8")
    lines = site.run_dir.parent / "lines"
    capsule = {"schema": "Secret", "revision": 1, "wiki": "w", "timestamp": 1480000000, "event": {"a": "b"}}
    lines.write_text("".join(f"{json.dumps({**capsule, 'uuid': f'{n:032x}'})}\n" for n in range(9)), encoding="utf-8")
    schemas = site.run_dir.parent / "schemas"
    (schemas / "Secret").mkdir(parents=True)
    (schemas / "Secret" / "1.json").write_text('{"properties": {"a": {"type": "string"}}}', encoding="utf-8")
    follows = f"file://{lines}?follow=True"
    more = ("--schemas", str(schemas))
    site.instance("consumer/right", follows, f"mysql://odd:${{file:{secret}}}@{database}", *more)
    site.instance("consumer/denied", follows, f"mysql://odd:{encoded('denied')}@{database}", *more)
    away = f"127.0.0.1:{free_port()}/log"
    site.instance("consumer/away", follows, f"mysql://odd:${{env:AWAY_PASSWORD}}@{away}", *more)
    site.instance("consumer/port", follows, f"mysql://odd:{encoded('port')}@h:port/log", *more)
    site.instance("consumer/extra", follows, "stdout:", f"mysql://odd:{encoded('extra')}@h/log", *more)
    site.instance("consumer/option", follows, f"mysql://odd:{encoded('option')}@h/log?pasword=1", *more)
    site.instance("consumer/scheme", follows, f"mysqll://odd:{encoded('scheme')}@h/log", *more)
    site.instance("consumer/token", follows, f"mysql://h/log?token={encoded('token')}", *more)
    site.instance(
        "importer/store",
        f"kafka:///127.0.0.1:{free_port()}",
        f"ftp:///log?host=127.0.0.1&username=odd&password={encoded('store')}",
    )


def run(*words: str | Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **(env or {})},
    )
    return done.stdout + done.stderr


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        # What the operator wrote there.
        if path.is_file() and path != folder / "env":
            yield str(path), path.read_bytes()


def test_no_part_of_a_password_is_written_or_shown(topology: Make, database: str) -> None:
    site = topology({"AWAY_PASSWORD": encoded("away")})
    instances(site, database)
    folders = ["--config-dir", str(site.config_dir), "--run-dir", str(site.run_dir)]
    ctl = [BIN / "eventloggingctl", *folders]
    shown = {"init": run(BIN / "eventlogging-init", *folders), "start": run(*ctl, "start")}
    wait_for(lambda: "Access denied" in site.log("consumer/denied"), DEADLINE_S, "the wrong password")
    wait_for(lambda: "waiting to try again" in site.log("consumer/away"), DEADLINE_S, "nobody there")
    wait_for(lambda: "reason" in site.log("importer/store"), DEADLINE_S, "no store")
    wait_for(lambda: "RUNNING" in run(*ctl, "status", "consumer/right"), DEADLINE_S, "the right password")
    for pid in site.pids().values():
        os.kill(pid, signal.SIGUSR1)
    running = {f"ps {one.pid}": " ".join(one.cmdline()).encode() for one in processes(str(site.run_dir))}
    assert len(running) > 8
    for verb in ("status", "check", "update", "restart"):
        shown[verb] = run(*ctl, verb)
    shown["tail"] = run(*ctl, "tail", "-n", "2000")
    shown["import"] = run(*ctl, "import", "status")
    psutil.Process(site.pids()["consumer/right"]).children()[0].kill()
    wait_for(lambda: "worker died" in site.log("consumer/right"), DEADLINE_S, "a worker that is killed")
    for role, words in {
        "typed": ("stdin:", f"mysql://odd:{encoded('typed')}@h/log", "one too many"),
        "port": ("stdin:", f"mysql://odd:{encoded('typed')}@h:port/log"),
        "raw": ("stdin:", f"mysql://odd:{password('typed')}@h:port/log"),
        "option": ("stdin:", f"mysql://odd:{encoded('typed')}@h/log", "--no-such-option"),
    }.items():
        shown[f"by hand: {role}"] = run(BIN / "eventlogging-consumer", *words)
    shown["stop"] = run(*ctl, "stop")
    everything = [*running.items(), *((name, text.encode()) for name, text in shown.items()), *written(site.run_dir)]
    found = [
        (where, part) for where, text in everything for name in GAPS for part in parts(name) if part.encode() in text
    ]
    assert not found
    assert "consumers/port:2" in shown["start"]
    assert "consumers/extra:3" in shown["start"]
