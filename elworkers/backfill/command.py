# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs `eventlogging-backfill`, which parses, validates and stores raw log files or a time range of a topic."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from elworkers import __version__
from elworkers.backfill.plan import PROGRAM, SPEC, Plan, plan
from elworkers.config.role_help import help_text
from elworkers.core import console, loop, worker_state
from elworkers.core import log as logs
from elworkers.core.capabilities import Breakable
from elworkers.core.errors import (
    EX_DATAERR,
    EX_TEMPFAIL,
    ConfigurationError,
    DataError,
    RetryableError,
)
from elworkers.core.metrics import Counters
from elworkers.core.permissions import narrow_umask
from elworkers.core.pipeline import CarryOver
from elworkers.core.progress import progress
from elworkers.core.stop import Stop
from elworkers.core.terminal import printable
from elworkers.roles.build import PipelineBuilder

if TYPE_CHECKING:
    from elworkers.backfill.preview import StoredLookup

log = structlog.get_logger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when everything is stored, or was printed; `EX_DATAERR` when a record was rejected or an input is damaged;
        `EX_TEMPFAIL` when it was stopped before its end; `EX_USAGE` for a wrong command line; `EX_CONFIG` for what
        cannot work.
    """
    if argv is None:
        return console.run(PROGRAM, lambda: main(sys.argv[1:]))
    if "--help" in argv or "-h" in argv:
        print(help_text(SPEC))
        return 0
    if "--version" in argv:
        print(f"{PROGRAM} {__version__}")
        return 0
    try:
        todo = plan([argument for argument in argv if argument != "--check"])
        if "--check" in argv:
            print(f"{PROGRAM}: the arguments are valid")
            return 0
        return _run(todo)
    except ConfigurationError as error:
        print(f"{PROGRAM}: {printable(str(error))}", file=sys.stderr)
        return error.exit_code


def _run(todo: Plan) -> int:
    narrow_umask()
    logs.configure(todo.arguments["log_level"], role="backfill", instance=todo.state.name)
    stop = Stop()
    stop.listen(signal.SIGTERM, signal.SIGINT)
    try:
        code = _preview(todo, stop) if todo.arguments["dry_run"] else _store(todo, stop)
    except DataError as error:
        log.error(  # noqa: TRY400 - no bug to trace
            "the input has ended, but not all of it is stored",
            code="input_ended_incomplete",
            reason=str(error),
            exit_code=EX_DATAERR,
        )
        return EX_DATAERR
    except RetryableError as error:
        log.error("not done; nothing is lost", code="backfill_unfinished", reason=str(error), exit_code=EX_TEMPFAIL)  # noqa: TRY400 - no bug to trace
        return EX_TEMPFAIL
    return code


def _store(todo: Plan, stop: Stop) -> int:
    from elworkers.backfill.pipelines import PipelineFactory
    from elworkers.backfill.state import State, locked
    from elworkers.roles.ending import report_end

    with locked(todo.state):
        state = State(todo.state, todo.identity, again=bool(todo.arguments["again"]))
        metrics = Counters()
        if state.begun:
            log.info("the backfill goes on", code="backfill_resumed", state=str(todo.state))
        else:
            log.info("the backfill begins", code="backfill_started", state=str(todo.state))
        with progress("backfilling", in_bytes=not todo.topics) as tell:
            factory = PipelineFactory(todo, state, _pipeline_builder(todo, metrics), tell)
            ending = loop.run(factory.build, stop, metrics, _NullReporter())
        if ending is None:
            log.warning(
                "stopped; the same command goes on there",
                code="backfill_stopped",
                state=str(todo.state),
                exit_code=EX_TEMPFAIL,
            )
            return EX_TEMPFAIL
        report_end(factory.account(), factory.dead_letter_name() or ending.dead_letter_name, ending.damage)
        return 0


def _preview(todo: Plan, stop: Stop) -> int:
    from elworkers.backfill.pipelines import PipelineFactory
    from elworkers.backfill.preview import Preview
    from elworkers.backfill.state import State

    state = State(None, todo.identity)
    with progress("reading", in_bytes=not todo.topics) as tell:
        factory = PipelineFactory(todo, state, _pipeline_builder(todo, Counters()), tell)
        is_stored, close = _stored_lookup(todo)
        found = Preview(is_stored)
        carry_over = CarryOver()
        source, stages = factory.head(factory.builder.with_carry_over(carry_over))
        try:
            found.read(source, stages, lambda: stop.requested)
        finally:
            source.close()
            close()
    print(found.text())
    if isinstance(source, Breakable) and source.damage:
        raise DataError(source.damage)
    return EX_TEMPFAIL if stop.requested else 0


def _stored_lookup(todo: Plan) -> tuple[StoredLookup | None, Callable[[], None]]:
    """Return a lookup of events that the output has already, and a call that closes it."""
    endpoint = todo.output
    if endpoint.spec.stored_events is not None:
        found = endpoint.spec.stored_events(endpoint)
        return found, found.close
    if endpoint.path is not None:
        from elworkers.backfill.tails import uuids

        known = set(uuids(endpoint.path))
        return (lambda _schema, _revision, some: known.intersection(some)), lambda: None
    return None, lambda: None


def _pipeline_builder(todo: Plan, metrics: Counters) -> PipelineBuilder:
    arguments = todo.arguments
    if todo.topics or todo.output.brokers:
        from elworkers.connectors.kafka.drivers import client_id, name_process

        name_process(client_id("backfill", todo.state.name, 0))
    return PipelineBuilder(metrics, partitions=arguments["partitions"], batch_records=arguments["batch_size"])


class _NullReporter:
    """Reports nothing: the log of this process is enough; implements `worker_state.StateReporter`."""

    def report(self, state: worker_state.State) -> None:
        """See `worker_state.StateReporter`."""

    def read(self, records: int) -> None:
        """See `worker_state.StateReporter`."""

    def trouble(self, reason: str) -> None:
        """See `worker_state.StateReporter`."""
