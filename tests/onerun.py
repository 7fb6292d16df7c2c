# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs one worker of a role in this process until it has nothing more to read."""

from __future__ import annotations

from collections.abc import Callable

from elworkers import roles
from elworkers.config.argument_files import Argument
from elworkers.config.arguments import Arguments
from elworkers.core import loop
from elworkers.core.metrics import Counters
from elworkers.core.stop import Stop
from elworkers.core.worker_state import State
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.validate import check_arguments


def check(role: str, *argv: str) -> Arguments:
    """The checked arguments of a role."""
    return check_arguments(role, [Argument(one) for one in argv])


class StopsWhenDone:
    """Asks a worker to end at a poll before which it is done; its `worker_state.StateReporter`."""

    def __init__(self, done: Callable[[int], bool]) -> None:
        self.stop = Stop()
        self._done = done
        self._idle = 0

    def report(self, state: State) -> None:
        self._idle += 1
        if self._done(self._idle):
            self.stop.request()

    def read(self, records: int) -> None:
        self._idle = 0

    def trouble(self, reason: str) -> None:
        assert not reason


def run_exactly_once(arguments: Arguments, done: Callable[[int], bool] = lambda idle: idle > 3, name: str = "") -> None:
    """Run a worker whose outputs have exactly_once=True.

    Args:
        arguments: of its role.
        done: whether it may end, given how often it has found nothing since it has read something.
        name: its transactional id.
    """
    module, reporter = roles.module(arguments.role), StopsWhenDone(done)
    builder = PipelineBuilder(Counters(), sid=arguments["sid"], transactional_id=name or "id")
    loop.run(
        lambda carry_over: module.build(arguments, builder.with_carry_over(carry_over)),
        reporter.stop,
        Counters(),
        reporter,
    )
