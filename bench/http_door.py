"""The HTTP door beside a bare aiohttp server that only says 204, under wrk: `python -m bench.http_door`."""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

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
    parser = argparse.ArgumentParser(prog="python -m bench.http_door", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args(words)
    if shutil.which("wrk") is None:
        print("bench.http_door: wrk is not on PATH (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    line = gzip.decompress((DEMO / "client-side-lines.txt.gz").read_bytes()).splitlines()[0]
    query = line.split(b"\t")[0].decode()
    rates: dict[str, list[tuple[float, float]]] = {"bare": [], "door": []}
    with tempfile.TemporaryDirectory(prefix="elworkers-bench-") as folder:
        ports = {name: free_port() for name in rates}
        servers = {"bare": _bare(ports["bare"]), "door": _door(ports["door"], Path(folder))}
        try:
            for port in ports.values():
                _until_it_listens(port)
            for _ in range(given.rounds):
                for name, port in ports.items():
                    url = f"http://127.0.0.1:{port}/beacon/event{query}"
                    rates[name].append(_measure(servers[name], url, given.seconds, given.connections))
        finally:
            for server in servers.values():
                server.terminate()
            for server in servers.values():
                server.wait()
    print(f"{len(query)}-byte queries, {given.connections} connections, medians of {given.rounds} rounds")
    print(f"{'server':<28}{'requests/s':>12}{'CPU s per 100,000':>20}")
    for name, shown in (("bare", "bare aiohttp, 204"), ("door", "the door, line on disk")):
        print(f"{shown:<28}{_median(rates[name], 0):>12,.0f}{_median(rates[name], 1):>20.2f}")
    ratio = statistics.median(door[0] / bare[0] for door, bare in zip(rates["door"], rates["bare"], strict=True))
    print(f"door / bare: {ratio:.2f}")
    return 0


def _median(found: Sequence[tuple[float, float]], column: int) -> float:
    return statistics.median(one[column] for one in found)


def _bare(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _BARE, str(port)])


def _door(port: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "elworkers", "forwarder", "--name=bench", f"http://127.0.0.1:{port}/beacon/event"]
    environment = {**os.environ, "EVENTLOGGING_RUN_DIR": str(folder)}
    return subprocess.Popen([*command, "file:///dev/null"], env=environment, stderr=subprocess.DEVNULL)


def _measure(server: subprocess.Popen[bytes], url: str, seconds: int, connections: int) -> tuple[float, float]:
    before = _cpu_s(server)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise SystemExit(f"bench.http_door: refused requests:\n{said}")
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    rate = float(re.findall(r"Requests/sec: *([0-9.]+)", said)[0])
    return rate, (_cpu_s(server) - before) / requests * 100_000


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
