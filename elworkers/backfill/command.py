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
from elworkers.backfill.plan import EXAMPLES, PROGRAM, SPEC, Plan, plan
from elworkers.config.arguments import help_text
from elworkers.core import console, loop
from elworkers.core import log as logs
from elworkers.core.contracts import Breakable
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
    from elworkers.backfill.preview import There

log = structlog.get_logger(__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say.

    Returns:
        0 when everything is stored, or was shown; `EX_DATAERR` when something was refused or an input is damaged;
        `EX_TEMPFAIL` when it was stopped before its end; `EX_USAGE` for a wrong command line; `EX_CONFIG` for what
        cannot work.
    """
    if words is None:
        return console.run(PROGRAM, lambda: main(sys.argv[1:]))
    if "--help" in words or "-h" in words:
        print(f"{help_text(SPEC)}\n{EXAMPLES}")
        return 0
    if "--version" in words:
        print(f"{PROGRAM} {__version__}")
        return 0
    try:
        made = plan([word for word in words if word != "--check"])
        if "--check" in words:
            print(f"{PROGRAM}: the arguments can work")
            return 0
        return _do(made)
    except ConfigurationError as error:
        print(f"{PROGRAM}: {printable(str(error))}", file=sys.stderr)
        return error.exit_code


def _do(made: Plan) -> int:
    narrow_umask()
    logs.configure(made.arguments["log_level"], role="backfill", instance=made.state.name)
    stop = Stop()
    stop.listen(signal.SIGTERM, signal.SIGINT)
    try:
        code = _preview(made, stop) if made.arguments["dry_run"] else _store(made, stop)
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


def _store(made: Plan, stop: Stop) -> int:
    from elworkers.backfill.line import Line
    from elworkers.backfill.state import State, alone
    from elworkers.roles.ending import tell as tell_ending

    with alone(made.state):
        state = State(made.state, made.job, again=bool(made.arguments["again"]))
        metrics = Counters()
        if state.begun:
            log.info("the backfill goes on", code="backfill_resumed", state=str(made.state))
        else:
            log.info("the backfill begins", code="backfill_started", state=str(made.state))
        with progress("backfilling", in_bytes=not made.topics) as tell:
            line = Line(made, state, _wiring(made, metrics), tell)
            ending = loop.run(line.build, stop, metrics, _NoBoard())
        if ending is None:
            log.warning(
                "stopped; the same command goes on there",
                code="backfill_stopped",
                state=str(made.state),
                exit_code=EX_TEMPFAIL,
            )
            return EX_TEMPFAIL
        tell_ending(line.account(), line.dead_letter_name() or ending.dead_letter_name, ending.damage)
        return 0


def _preview(made: Plan, stop: Stop) -> int:
    from elworkers.backfill.line import Line
    from elworkers.backfill.preview import Preview
    from elworkers.backfill.state import State

    state = State(None, made.job)
    with progress("reading", in_bytes=not made.topics) as tell:
        line = Line(made, state, _wiring(made, Counters()), tell)
        there, close = _there(made)
        found = Preview(there)
        kept = CarryOver()
        source, stages = line.head(line.wiring.keeping(kept))
        try:
            found.read(source, stages, lambda: stop.requested)
        finally:
            source.close()
            close()
    print(found.text())
    if isinstance(source, Breakable) and source.damage:
        raise DataError(source.damage)
    return EX_TEMPFAIL if stop.requested else 0


def _there(made: Plan) -> tuple[There | None, Callable[[], None]]:
    """Return what says which events are in the output already, and how to let go of that."""
    endpoint = made.output
    if endpoint.spec.stored_events is not None:
        found = endpoint.spec.stored_events(endpoint)
        return found, found.close
    if endpoint.path is not None:
        from elworkers.backfill.tails import uuids

        known = set(uuids(endpoint.path))
        return (lambda _schema, _revision, some: known.intersection(some)), lambda: None
    return None, lambda: None


def _wiring(made: Plan, metrics: Counters) -> PipelineBuilder:
    arguments = made.arguments
    if made.topics or made.output.brokers:
        from elworkers.connectors.kafka.drivers import client_id, driver

        driver().name_process(client_id("backfill", made.state.name, 0))
    return PipelineBuilder(metrics, partitions=arguments["partitions"], batch_records=arguments["batch_size"])


class _NoBoard:
    """Nobody looks at what this process does but by its log; implements `loop.StateReporter`."""

    def report(self, state: loop.State) -> None:
        """See `loop.StateReporter`."""

    def read(self, records: int) -> None:
        """See `loop.StateReporter`."""

    def trouble(self, reason: str) -> None:
        """See `loop.StateReporter`."""
