# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The HTTP door beside a bare aiohttp server that only says 204, under wrk: `python -m bench.http_door`."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil

from bench.rounds import Table, Taken, command, cpu_per_event, in_turns, ratio, row
from elworkers.devstack.stack import free_port

DEMO = Path(__file__).parents[1] / "demo"
_STARTS_WITHIN_S = 30.0
_BARE = """
import asyncio, sys
from aiohttp import web

async def answer(_request):
    return web.Response(status=204)

async def serve():
    server = await asyncio.get_running_loop().create_server(
        web.Server(answer, access_log=None, max_line_size=16000), "127.0.0.1", int(sys.argv[1]), backlog=1024
    )
    await server.serve_forever()

asyncio.run(serve())
"""


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print a table.

    Returns:
        0; 1 where there is no wrk.
    """
    if shutil.which("wrk") is None:
        print("bench.http_door: wrk is not on PATH (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    return command("http_door", measure, words, _options)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--connections", type=int, default=32)


def measure(given: argparse.Namespace) -> list[Table]:
    """Return the one table."""
    line = gzip.decompress((DEMO / "client-side-lines.txt.gz").read_bytes()).splitlines()[0]
    query = line.split(b"\t")[0].decode()
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="elworkers-bench-")))

        def case(start: Callable[[int], subprocess.Popen[bytes]]) -> Callable[[], Taken]:
            port = free_port()
            server = opened.enter_context(_ended(start(port)))
            _until_it_listens(port)
            url = f"http://127.0.0.1:{port}/beacon/event{query}"
            return partial(_run, server, url, given.seconds, given.connections)

        taken = in_turns({"bare": case(_bare), "door": case(partial(_door, folder))}, given.rounds)
    return [
        Table(
            f"HTTP door: {len(query)}-byte queries, {given.connections} connections of wrk, kept alive,"
            f" medians of {given.rounds} rounds",
            "requests",
            [row("bare aiohttp, 204", taken["bare"]), row("the door, line on disk", taken["door"])],
            [
                ratio("door / bare aiohttp, requests a second", taken["door"], taken["bare"]),
                ratio("door / bare aiohttp, processor time", taken["door"], taken["bare"], cpu_per_event),
            ],
        )
    ]


@contextlib.contextmanager
def _ended(server: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _bare(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _BARE, str(port)])


def _door(folder: Path, port: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "elworkers", "forwarder", "--name=bench", f"http://127.0.0.1:{port}/beacon/event"]
    environment = {**os.environ, "EVENTLOGGING_RUN_DIR": str(folder)}
    return subprocess.Popen([*words, "file:///dev/null"], env=environment, stderr=subprocess.DEVNULL)


def _run(server: subprocess.Popen[bytes], url: str, seconds: int, connections: int) -> Taken:
    before = _cpu_s(server)
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", url]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"bench.http_door: refused requests:\n{said}")
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    rate = float(re.findall(r"Requests/sec: *([0-9.]+)", said)[0])
    return Taken(requests, requests / rate, _cpu_s(server) - before)


def _cpu_s(server: subprocess.Popen[bytes]) -> float:
    process = psutil.Process(server.pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
