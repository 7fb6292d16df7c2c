# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A name with several addresses: `localhost` in a mount namespace with an `/etc/hosts` of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BOTH = "::1 localhost twice\n127.0.0.1 localhost\n127.0.0.1 localhost\n"
NO_SIX = "fd00:bad::1 localhost\n127.0.0.1 localhost\n"
NEITHER = "fd00:bad::1 localhost\n192.0.2.77 localhost\n"

RECEIVE = """
import socket, sys
from elworkers.core.metrics import Counters
from elworkers.connectors.udp.source import UdpSource
source = UdpSource("localhost", 0, receive_buffer=100_000, metrics=Counters())
for host in sys.argv[1:]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(host.encode(), (host, source.address[1]))
found = []
while len(found) < len(sys.argv[1:]):
    found += [record.value.decode() for record in source.poll(10, 10.0) or [None]]
print(*sorted(found))
"""

ANSWER = """
import pathlib, sys, tempfile
sys.path.insert(0, TESTS)
import beacons
with tempfile.TemporaryDirectory() as folder:
    listener = beacons.RunningListener(pathlib.Path(folder), host="localhost")
    for host in sys.argv[1:]:
        print(host, listener.ask("GET", "/beacon/event?x", at=host)[0])
    listener.listener.close()
    print(len(listener.lines))
""".replace("TESTS", repr(str(HERE.parent)))

SEND = """
import socket, sys
from elworkers.monitoring import statsd
from elworkers.core.contracts import Record
from elworkers.connectors.udp.sink import UdpSink
family, host = (socket.AF_INET6, "::1") if sys.argv[1:] == ["six"] else (socket.AF_INET, "127.0.0.1")
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((host, 0))
server.settimeout(10)
port = server.getsockname()[1]
for number in range(2):
    statsd.send("localhost", port, [f"a:{number}|c", "b:1|c"])
    print(server.recv(1000))
sink = UdpSink("localhost", port)
for number in range(2):
    sink.write([Record(b"%d one" % number), Record(b"%d two" % number)])
    print(sink.flush(), server.recv(1000), server.recv(1000))
server.settimeout(0)
try:
    print(server.recv(1000))
except BlockingIOError:
    print("no more")
"""


def in_namespace(hosts: str, code: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it where `/etc/hosts` says so, for this process alone."""
    (folder / "hosts").write_text(hosts, encoding="utf-8")
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no mount namespace can be made here (it takes root): {probe.stderr.decode().strip()}")
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(folder / "hosts"), sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_datagrams_are_taken_at_each_address_of_the_name(tmp_path: Path) -> None:
    done = in_namespace(BOTH, RECEIVE, "127.0.0.1", "::1", folder=tmp_path)
    assert done.stdout == "127.0.0.1 ::1\n", done.stderr


def test_requests_are_answered_at_each_address_of_the_name(tmp_path: Path) -> None:
    done = in_namespace(BOTH, ANSWER, "127.0.0.1", "::1", folder=tmp_path)
    assert done.stdout == "127.0.0.1 204\n::1 204\n2\n", done.stderr


def test_an_address_that_this_host_does_not_have_is_said_and_the_others_are_used(tmp_path: Path) -> None:
    done = in_namespace(NO_SIX, RECEIVE, "127.0.0.1", folder=tmp_path)
    assert "this host has no such address" in done.stdout
    assert "fd00:bad::1" in done.stdout
    assert done.stdout.endswith("\n127.0.0.1\n"), done.stderr


def test_a_name_of_which_no_address_is_this_hosts_is_an_error(tmp_path: Path) -> None:
    done = in_namespace(NEITHER, RECEIVE, folder=tmp_path)
    assert "RetryableError: udp://localhost:0: cannot be bound: Cannot assign requested address" in done.stderr


@pytest.mark.parametrize("family", ["four", "six"])
@pytest.mark.parametrize("hosts", [BOTH, "127.0.0.1 localhost\n::1 localhost\n"])
def test_what_one_address_refuses_goes_to_the_next(tmp_path: Path, hosts: str, family: str) -> None:
    done = in_namespace(hosts, SEND, family, folder=tmp_path)
    assert done.stdout.splitlines() == [
        r"b'a:0|c\nb:1|c'",
        r"b'a:1|c\nb:1|c'",
        "[] b'0 one' b'0 two'",
        "[] b'1 one' b'1 two'",
        "no more",
    ], done.stderr
