# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes the configuration of a pool from a role's checked arguments."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from elworkers import roles
from elworkers.config.arguments import Arguments
from elworkers.config.endpoints import consumer_group
from elworkers.connectors.connector import SourceEndpoint, SpoolPaths
from elworkers.core import loop
from elworkers.core.contracts import Assignment, Metrics, Source
from elworkers.core.errors import RetryableError
from elworkers.core.operating_system import is_running
from elworkers.core.pipeline import CarryOver
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State, StateReporter
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.ending import account, report_end
from elworkers.roles.exactly_once import is_exactly_once, transactional_id
from elworkers.roles.worker_names import worker_name
from elworkers.workers.worker import PoolConfig, WorkerId

if TYPE_CHECKING:
    from elworkers.core.repeats import Repeats

_POLL_EVERY_S = 0.02


def pool_config(role: str, name: str, arguments: Arguments, state_file: Path | None) -> PoolConfig:
    """Return what the pool runs for these arguments."""
    inputs = _inputs(arguments)
    listening = (endpoint.spec.address(endpoint) for endpoint in inputs)
    return PoolConfig(
        role=role,
        instance=name,
        run=_WorkerRun(arguments),
        workers=arguments["workers"],
        stop_timeout_s=arguments["stop_timeout"],
        worker_timeout_s=arguments["worker_timeout"],
        scalable=_all_shared(inputs),
        # Who reads a file cannot have a double. Of those with a spool, a successor waits for it. Of two workers with
        # the same transactions, each would end those of the other, and a group has one static member of a name.
        side_by_side=bool(inputs)
        and all(endpoint.spec.side_by_side for endpoint in inputs)
        and not any(endpoint.options.get("static_membership") for endpoint in inputs)
        and not is_exactly_once(arguments),
        addresses=tuple(dict.fromkeys(address for address in listening if address is not None)),
        state_file=state_file,
        log_level=arguments["log_level"],
        passed=tuple(dict.fromkeys((name, why) for name, why, _ in arguments.passed)),
        deprecated=tuple(dict.fromkeys((name, use) for name, use, _ in arguments.deprecated)),
    )


def _inputs(arguments: Arguments) -> Sequence[SourceEndpoint]:
    return arguments.endpoints.get("input", ())


def _all_shared(inputs: Sequence[SourceEndpoint]) -> bool:
    return bool(inputs) and all(endpoint.spec.shared for endpoint in inputs)


class _WorkerRun:
    """One worker's work, called after the fork: only then are clients imported and made."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments

    def __call__(self, worker_id: WorkerId, stop: Stop, metrics: Metrics, reporter: StateReporter) -> None:
        from elworkers.connectors.kafka.drivers import client_id, name_process

        name_process(client_id(worker_id.role, worker_id.instance, worker_id.worker))
        module = roles.module(worker_id.role)
        arguments = self._arguments
        if hasattr(module, "run"):
            module.run(arguments, worker_id, stop, metrics, reporter)
            return
        sequence = (_state_dir() or _own_state_dir()) / "sequence"
        builder = PipelineBuilder(
            metrics,
            sid=arguments["sid"],
            name=worker_name(worker_id.role, worker_id.instance, worker_id.worker, _state_dir()),
            transactional_id=transactional_id(arguments, worker_id.instance, worker_id.worker, _state_dir()),
            partitions=arguments["partitions"],
            batch_records=arguments["batch_size"],
            batch_seconds=arguments.values.get("linger", arguments.values.get("batch_seconds")),
            spool=_spool(arguments, worker_id),
            sequence=sequence,
            listening=worker_id.listening,
            event_timeout=arguments.values.get("event_timeout", 1.0),
        )
        if worker_id.after is not None and builder.spool is not None and not _inputs(arguments)[0].spec.shared:
            _rehearse(lambda carry_over: module.build(arguments, builder.with_carry_over(carry_over)))
            endpoint = _inputs(arguments)[0]
            early_listener = endpoint.spec.prepare(endpoint, SpoolPaths(builder.spool[0], sequence), worker_id.after)
            builder.early_listeners.extend([early_listener] if early_listener is not None else ())
            _wait_for_turn(builder.spool[0], worker_id.after, stop, reporter)
        repeats = _repeats(arguments, worker_id)
        try:
            end = loop.run(
                lambda carry_over: module.build(arguments, builder.with_carry_over(carry_over)),
                stop,
                metrics,
                reporter,
                repeats,
            )
        finally:
            for one in builder.early_listeners:
                one.close()
        if end is not None:
            found = account(metrics, stores_events=worker_id.role == "consumer")
            report_end(found, end.dead_letter_name, end.damage, makes_errors=worker_id.role == "processor")


def _rehearse(build: loop.Build) -> None:
    """Build everything but the source, and close it: where a new worker cannot do that, the present one goes on.

    It also imports what takes a while: between the end of that worker and the beginning of this one nobody takes
    anything off the sockets.

    Raises:
        ConfigurationError: as `build`.
    """
    absent = cast(Source, object())
    with contextlib.suppress(RetryableError):
        build(CarryOver(source=absent)).close(but=absent)


def _wait_for_turn(spool: Path, after: int, stop: Stop, reporter: StateReporter) -> None:
    """Report that this worker is ready, and wait until the one before it has ended and left its spool."""
    from elworkers.connectors.spool import ownership, source  # noqa: F401

    def waits() -> bool:
        reporter.report(State.READY)
        return not stop.wait(_POLL_EVERY_S) and is_running(after)

    ownership.wait_for_turn(spool, waits)


def _spool(arguments: Arguments, worker_id: WorkerId) -> tuple[Path, int] | None:
    if "spool_dir" not in arguments.values:
        return None
    if arguments["spool_dir"]:
        return Path(arguments["spool_dir"]), arguments["spool_max_bytes"]
    state = _state_dir()
    if state is None and _inputs(arguments)[0].spec.listens_only:
        # What a client was acknowledged must not be in memory alone, also where a forwarder is started by hand.
        state = _own_state_dir()
    return (state / "spool" / f"{worker_id.role}-{worker_id.instance}", arguments["spool_max_bytes"]) if state else None


def _repeats(arguments: Arguments, worker_id: WorkerId) -> Repeats | None:
    """Return what is known of earlier processes of this host; None without a run folder, and where nothing repeats."""
    state = _state_dir()
    if state is None or is_exactly_once(arguments):
        return None
    # Imported here: with hashlib they would take 0.6 MiB of each parent.
    from elworkers.core.repeat_log import RepeatLog, path_in
    from elworkers.core.repeats import Repeats
    from elworkers.core.write_marks import WriteMarks

    groups = {}
    for endpoint in _inputs(arguments):
        if endpoint.brokers:
            cluster = ",".join(sorted(endpoint.brokers))
            groups[cluster, endpoint.options["topic"]] = consumer_group(endpoint, arguments["sid"])

    def reader(origin: Assignment) -> str:
        # A spool is one instance's own.
        return groups.get((origin.cluster, origin.topic)) or f"{worker_id.role}/{worker_id.instance}"

    return Repeats(WriteMarks(state / "marks", reader), RepeatLog(path_in(state)).append)


def _state_dir() -> Path | None:
    run_dir = os.environ.get("EVENTLOGGING_RUN_DIR")
    return Path(run_dir) if run_dir else None


def _own_state_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "elworkers"
