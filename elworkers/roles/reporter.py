# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reporter: sends the counts and the lag of the instances' topics and groups to statsd."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.argument_files import process_environment
from elworkers.config.arguments import Arguments, Option, RoleSpec
from elworkers.config.endpoints import check_topics
from elworkers.config.options import STATSD_PORT
from elworkers.config.types import integer, seconds
from elworkers.config.uris import Endpoint
from elworkers.connectors.kafka.drivers import check_settings
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.monitoring import statsd
from elworkers.roles.common_options import COMMON, STATSD_NAMES, single_worker

if TYPE_CHECKING:
    from elworkers.core.contracts import Metrics
    from elworkers.core.stop import Stop
    from elworkers.core.worker_state import State, StateReporter
    from elworkers.roles.report import ClusterReport
    from elworkers.workers.worker import WorkerId

_SIGN_OF_LIFE_S = 0.5

SPEC = RoleSpec(
    "reporter",
    "Sends the counts of events, and the lag of each consumer group that the instance files name, to statsd.",
    (),
    (
        Option("--host", "host of statsd", default="127.0.0.1"),
        Option("--port", "UDP port of statsd", integer(1), default=STATSD_PORT),
        Option("--interval", "seconds between two reports", seconds, default=10.0),
        Option(
            "--prefix",
            "start of the metric names; {host} stands for this host's name (default: see --statsd-names)",
        ),
        STATSD_NAMES,
        Option(
            "--kafka",
            "brokers with the client and the login to ask them by, as kafka:///HOST:PORT?security_protocol=SSL; may be"
            " repeated (default: those of the first instance that names the brokers)",
            repeatable=True,
            metavar="URI",
        ),
        Option("--config-dir", "folder of the instance files (default: EVENTLOGGING_CONFIG_DIR)"),
        *COMMON,
    ),
    examples=("eventlogging-reporter --host statsd.example.org --interval 60",),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: several workers would report everything several times, or two options name a prefix.
    """
    if arguments["prefix"] is not None and arguments["statsd_names"] != "host":
        raise ConfigurationError(
            f"--prefix {arguments['prefix']} and --statsd-names {arguments['statsd_names']}; expected one of them"
        )
    _connections(arguments)
    single_worker("a reporter", "two would count everything twice", arguments["workers"])


def _connections(arguments: Arguments) -> list[Endpoint]:
    found = []
    for text, location in zip(arguments["kafka"], arguments.locations["kafka"], strict=True):
        try:
            endpoint = check_topics(text)
            check_settings(endpoint)
        except ConfigurationError as error:
            raise error.at(location.file, location.line) from None
        found.append(endpoint)
    return found


def run(
    arguments: Arguments, _worker_id: WorkerId, stop: Stop, metrics: Metrics, state_reporter: StateReporter
) -> None:
    """Report until asked to stop; see `report` for what.

    Raises:
        ConfigurationError: the configuration folder cannot be read.
    """
    from elworkers.core.backoff import Backoff
    from elworkers.core.repeat_log import RepeatLog, path_in
    from elworkers.core.worker_state import State
    from elworkers.roles.instances import read_instances
    from elworkers.roles.report import ClusterReport, watched

    config_dir = Path(arguments["config_dir"] or os.environ.get("EVENTLOGGING_CONFIG_DIR") or "/etc/eventlogging.d")
    run_dir = os.environ.get("EVENTLOGGING_RUN_DIR")
    env = process_environment()
    repeat_log = RepeatLog(path_in(Path(run_dir))) if run_dir else None
    backoff = Backoff(state_reporter.trouble)
    reports: dict[tuple[str, ...], ClusterReport] = {}
    hashes: list[str] | None = None
    own = _connections(arguments)
    while not stop.requested:
        if repeat_log is not None:
            # Before the ends of topics are asked for, so that what is noted here is among what is counted there.
            repeated_now = repeat_log.new()
            for report in reports.values():
                report.add_repeated(repeated_now)
        try:
            configuration = read_instances(config_dir, env)
            if hashes != (now := [instance.sha256 for instance in configuration.instances]):
                with contextlib.suppress(RetryableError):
                    # What came until now; a cluster that is away may be one that was corrected.
                    _report_all(arguments, reports.values())
                found = watched([instance.arguments for instance in configuration.instances], own)
                _close(report for hosts, report in reports.items() if hosts not in found)
                before, reports = reports, {}
                for hosts, what in found.items():
                    reports[hosts] = before.get(hosts) or ClusterReport(hosts, what, metrics)
                    reports[hosts].watch(what)
                hashes = now
            _report_all(arguments, reports.values())
            backoff.worked()
            _wait(arguments["interval"], State.RUNNING, stop, state_reporter)
        except RetryableError as error:
            _wait(min(backoff.failed(str(error)), arguments["interval"]), State.WAITING, stop, state_reporter)
    _close(reports.values())


def _wait(pause_s: float, state: State, stop: Stop, state_reporter: StateReporter) -> None:
    """Wait, with a sign of life now and then: an interval may be longer than `--worker-timeout`."""
    until = time.monotonic() + pause_s
    state_reporter.report(state)
    while (left_s := until - time.monotonic()) > 0 and not stop.wait(min(left_s, _SIGN_OF_LIFE_S)):
        state_reporter.report(state)


def _report_all(arguments: Arguments, reports: Iterable[ClusterReport]) -> None:
    failed: RetryableError | None = None
    for report in reports:
        try:
            report.send(lambda counters, gauges: _send(arguments, counters, gauges))
        except RetryableError as error:
            # A cluster that is away silences no other.
            failed = error
    if failed is not None:
        raise failed


def _close(reports: Iterable[ClusterReport]) -> None:
    for report in reports:
        report.close()


def _send(arguments: Arguments, counters: Mapping[str, int], gauges: Mapping[str, int]) -> None:
    prefix = statsd.prefixed(arguments["prefix"] or statsd.NAMES[arguments["statsd_names"]])
    lines = [f"{prefix}.{name}:{value}|c" for name, value in sorted(counters.items()) if value]
    lines += [f"{prefix}.{name}:{value}|g" for name, value in sorted(gauges.items())]
    try:
        statsd.send(arguments["host"], arguments["port"], lines)
    except OSError as error:
        raise RetryableError(f"statsd {arguments['host']}:{arguments['port']}: {error.strerror or error}") from error
