# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs the topology of `make demo`, and shows what arrived where: `python -m demo`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from demo import listeners
from demo.count import Arrivals, Comparison, Hours, Statsd
from demo.lines import Sample, read_sample
from elworkers.config.options import EVENTS_PORT, HTTP_PORT
from elworkers.connectors.kafka.drivers import driver
from elworkers.core.errors import ElworkersError
from elworkers.devstack import Stack, varnish
from elworkers.devstack.errors import DevstackError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
KAFKAS = {"3": "kafka", "4": "kafka44"}
"""By the number of a version: the part of the development stack that is the newest of it."""
BLACKLISTED = "VirtualPageView"
RAW_TOPIC, UDP_TOPIC = "eventlogging-client-side", "eventlogging-server-side"
_STALLED_AFTER_S = 60.0
_IN_FLIGHT = 150


def main(argv: list[str] | None = None) -> int:
    """Run the demo, or end it.

    Returns:
        0 when everything that was sent is accounted for; 1 otherwise, having said what is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "sqlite"), default="mariadb")
    parser.add_argument("--kafka", choices=tuple(KAFKAS), default="3", help="version of Kafka (default: %(default)s)")
    parser.add_argument("--run-dir", type=Path, default=ROOT / ".run", help="default: .run beside the code")
    parser.add_argument("--down", action="store_true", help="end everything that the demo started")
    args = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _as_interrupt)
    demo = Demo(args.run_dir.absolute(), args.database, KAFKAS[args.kafka])
    try:
        return demo.down() if args.down else demo.run()
    except (ElworkersError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class Demo:
    """The topology of etc/eventlogging.d in a run folder."""

    def __init__(self, run_dir: Path, database: str, kafka: str) -> None:
        self._run_dir = run_dir
        self._database = database
        self._kafka = kafka
        self._stack = Stack(run_dir / "devstack")
        self._events = run_dir / "events"
        self._config_dir = run_dir / "eventlogging.d"

    def run(self) -> int:
        """Bring everything up, send, wait, count."""
        parts = [self._kafka, "hdfs"] + (["mariadb"] if self._database == "mariadb" else [])
        if varnish.program():
            parts.append("varnish")
        self._write_instances()
        if (self._run_dir / "supervisord.pid").exists():
            # An earlier demo's forwarders hold the ports that this one wants.
            self._ctl("stop")
        # Of an earlier demo with another version.
        for other in set(KAFKAS.values()) - {self._kafka}:
            self._stack.stop(other)
        http = _free(socket.SOCK_STREAM, HTTP_PORT)
        # An earlier demo's Varnish may know another port for bodies.
        self._stack.stop("varnish")
        print(f"starting {', '.join(parts)} …", flush=True)
        self._stack.up(*parts, ports={"beacon": http})
        statsd = Statsd()
        environment = self._environment(statsd.port, http)
        self._write_environment(environment)
        print("starting the topology of etc/eventlogging.d under supervisord …", flush=True)
        # Restarted, so that instances of an earlier demo see the addresses of this one.
        self._ctl("restart")
        sample = read_sample(HERE)
        comparison = Comparison(sample.sent)
        hours = Hours(environment["IMPORT_URL"])
        log = self._events / "all-events.log"
        arrivals = Arrivals(environment["KAFKA"], environment["DATABASE_URL"], hours, log, statsd)
        sample = self._send(sample, environment)
        self._wait(sample, arrivals)
        arrivals.wait_for_report()
        print(comparison.table(arrivals.totals(), BLACKLISTED))
        missing = comparison.missing(arrivals.totals(), BLACKLISTED)
        for line in missing:
            print(f"demo: {line}", file=sys.stderr)
        print(arrivals.reported())
        print(self._left_out())
        self._print_next_steps(environment)
        return 1 if missing else 0

    def _environment(self, statsd_port: int, http_port: int) -> dict[str, str]:
        self._events.mkdir(parents=True, exist_ok=True)
        stack = self._stack.env()
        sqlite = f"sqlite:///{self._events / 'events.db'}"
        return {
            "KAFKA": stack[self._kafka.upper()],
            "DATABASE_URL": stack["MYSQL_URL"] if self._database == "mariadb" else sqlite,
            # A folder for each Kafka: an importer brings what another Kafka's topics of the same names have anew.
            "IMPORT_URL": f"{stack['WEBHDFS']}/eventlogging/{self._kafka}",
            "IMPORT_SECONDS": "1",
            "IMPORT_FILE_SECONDS": "2",
            "EVENTLOGGING_UDP": f"127.0.0.1:{_free(socket.SOCK_DGRAM, EVENTS_PORT)}",
            "EVENTLOGGING_HTTP": f"127.0.0.1:{http_port}",
            "EVENTLOGGING_HTTP_FILES": str(HERE / "page"),
            "EVENTLOGGING_VARNISH": str(self._run_dir / "devstack" / "varnish"),
            "EVENTLOGGING_LOG_DIR": str(self._events),
            "EVENTLOGGING_SCHEMAS": str(HERE / "schemas"),
            "EVENTLOGGING_BLACKLIST": BLACKLISTED,
            "STATSD_PORT": str(statsd_port),
            "REPORT_SECONDS": "1",
        }

    def _write_instances(self) -> None:
        shutil.rmtree(self._config_dir, ignore_errors=True)
        shutil.copytree(ROOT / "etc" / "eventlogging.d", self._config_dir)
        if varnish.program():
            shutil.copy(ROOT / "etc" / "varnish" / "client-side-varnish", self._config_dir / "forwarders")

    def _write_environment(self, environment: Mapping[str, str]) -> None:
        lines = [f"{name}={value}\n" for name, value in environment.items()]
        (self._run_dir / "env").write_text("".join(lines), encoding="utf-8")
        # What the shell has by these names would count more, and `make demo KAFKA=4` passes KAFKA=4 on.
        for name in environment:
            os.environ.pop(name, None)

    def _ctl(self, *argv: str) -> None:
        command = [self._tool("eventloggingctl"), *self._folders(), *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            raise DevstackError(f"eventloggingctl {' '.join(argv)} failed:\n{done.stderr}")

    def _folders(self) -> list[str]:
        return ["--config-dir", str(self._config_dir), "--run-dir", str(self._run_dir)]

    @staticmethod
    def _tool(name: str) -> str:
        return str(Path(sys.executable).parent / name)

    def _send(self, sample: Sample, environment: Mapping[str, str]) -> Sample:
        shares = listeners.share(sample.lines, varnish=varnish.program() is not None)
        listeners.wait_until_open(
            environment["EVENTLOGGING_HTTP"],
            environment["EVENTLOGGING_UDP"],
            Path(environment["EVENTLOGGING_VARNISH"]) if varnish.program() else None,
        )
        print(
            f"sending: {len(shares.recorded)} recorded lines · through Varnish {len(shares.varnish)} requests · by HTTP"
            f" {len(shares.get)} GETs and {len(shares.post)} POSTs · by UDP {len(sample.datagrams)} datagrams …",
            flush=True,
        )
        output = f"kafka:///{environment['KAFKA']}?topic={RAW_TOPIC}&partitions=4"
        command = [self._tool("eventlogging-forwarder"), "--name", "demo", "stdin:", output]
        log = (self._run_dir / "log" / "demo-sender.log").open("ab")
        with log, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as sender:
            feeder = threading.Thread(target=sender.communicate, args=(b"\n".join(shares.recorded) + b"\n",))
            feeder.start()
            rejected = self._send_requests(shares, environment)
            self._send_datagrams(sample, environment)
            feeder.join()
            if sender.returncode or rejected:
                raise DevstackError(f"the sender failed; see {log.name}" if sender.returncode else rejected[0])
        return self._click(sample, environment)

    def _send_requests(self, shares: listeners.Shares, environment: Mapping[str, str]) -> list[str]:
        rejected = listeners.send(environment["EVENTLOGGING_HTTP"], [*shares.get, *shares.post])
        if shares.varnish:
            rejected += listeners.send(self._stack.env()["VARNISH"], shares.varnish)
        return rejected

    def _click(self, sample: Sample, environment: Mapping[str, str]) -> Sample:
        program = listeners.chromium()
        if program is None:
            return sample
        logged = listeners.click(program, environment["EVENTLOGGING_HTTP"])
        print(f"a browser has logged {logged} events by clicks, one of them invalid", flush=True)
        sample.sent[listeners.PAGE_SCHEMA] += listeners.CLICKS
        sample.valid[listeners.PAGE_SCHEMA] += listeners.CLICKS - 1
        return replace(sample, invalid=sample.invalid + 1)

    @staticmethod
    def _left_out() -> str:
        wanted = (
            ("Varnish", varnish.program(), "varnishd is not here; as root: apt-get install varnish"),
            ("the browser", listeners.chromium(), "chromium is not here; as root: apt-get install chromium"),
        )
        missing = [f"{what} ({why})" for what, found, why in wanted if not found]
        return f"Left out: {'; '.join(missing)}." if missing else "No listener was left out."

    def _send_datagrams(self, sample: Sample, environment: Mapping[str, str]) -> None:
        # UDP has no way to say "slower"; so no more are under way than a small receive buffer holds.
        host, _, port = environment["EVENTLOGGING_UDP"].rpartition(":")
        brokers = [environment["KAFKA"]]
        admin = driver(brokers).admin(brokers)
        before = sum(admin.ends(UDP_TOPIC).values())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for sent, datagram in enumerate(sample.datagrams):
                deadline = time.monotonic() + _STALLED_AFTER_S
                while sent % _IN_FLIGHT == 0 and sum(admin.ends(UDP_TOPIC).values()) - before < sent:
                    if time.monotonic() > deadline:
                        raise DevstackError(f"datagrams do not arrive in {UDP_TOPIC}; see the forwarder's log")
                    time.sleep(0.01)
                udp.sendto(datagram, (host, int(port)))

    def _wait(self, sample: Sample, arrivals: Arrivals) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn())
        stored = sum(count for schema, count in sample.valid.items() if schema != BLACKLISTED)
        console = Console()
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            tasks = {
                "valid": progress.add_task("valid", total=sum(sample.valid.values())),
                "invalid": progress.add_task("invalid", total=sample.invalid),
                "rows": progress.add_task("database rows", total=stored),
                "lines": progress.add_task("log lines", total=stored),
                "records": progress.add_task("HDFS records", total=sum(sample.valid.values()) + sample.invalid),
            }
            last, since = "", time.monotonic()
            while not progress.finished and time.monotonic() - since < _STALLED_AFTER_S:
                sums = arrivals.sums()
                for name, task in tasks.items():
                    progress.update(task, completed=sums[name])
                if str(sums) != last:
                    last, since = str(sums), time.monotonic()
                time.sleep(0.2)

    def _print_next_steps(self, environment: Mapping[str, str]) -> None:
        folders = " ".join(self._folders())
        print(
            f"\nIt goes on running. A page to click on: http://{environment['EVENTLOGGING_HTTP']}/demo.html\n"
            f"Datagrams are taken at udp://{environment['EVENTLOGGING_UDP']}, Kafka is at {environment['KAFKA']}, HDFS"
            f" at {environment['IMPORT_URL']}, the log file is {self._events / 'all-events.log'}.\n"
            f"  {self._tool('eventloggingctl')} {folders} status\n"
            f"  make down"
        )

    def down(self) -> int:
        """End the topology and its servers."""
        subprocess.run([self._tool("eventloggingctl"), *self._folders(), "shutdown"], check=False)
        print(f"{self._stack.down()} server processes ended")
        return 0


def _free(type_: socket.SocketKind, wanted: int) -> int:
    with socket.socket(socket.AF_INET, type_) as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(main())
