# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs a role whose worker is killed once at a given step of the loop.

`python killer.py STEP MARKER ROLE ARGUMENT…`: the worker that first comes to STEP for the third time makes the file
MARKER and gets SIGKILL. With `commit-before-flush` the loop has the original's habit, and is killed in between.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elworkers import __main__ as program
from elworkers.connectors.kafka.confluent.delivery_client import DeliveryClient
from elworkers.connectors.kafka.confluent.transactional_client import TransactionalClient
from elworkers.connectors.kafka.exactly_once import WorkerTransaction
from elworkers.connectors.kafka.pykafka.produce_requests import ProduceRequests
from elworkers.connectors.kafka.sink import KafkaSink
from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.sql.batch import BatchWriter
from elworkers.connectors.sql.sink import SqlSink
from elworkers.core import loop

PASSES = 3


class Killer:
    """Kills this process at the third pass, once for each marker."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker
        self._passes = 0

    def passed(self) -> None:
        """Count a pass."""
        self._passes += 1
        if self._passes == PASSES and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, cls: type, name: str, counts: Callable[[Any], bool] = lambda _: True) -> None:
        """Count each call of a method when it has returned something that counts."""
        original = getattr(cls, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if counts(result):
                self.passed()
            return result

        setattr(cls, name, wrapped)

    def before(self, cls: type, name: str) -> None:
        """Count each call of a method that has something to do before it does it."""
        original = getattr(cls, name)

        def wrapped(instance: Any, positions: Any) -> Any:
            if positions:
                self.passed()
            return original(instance, positions)

        setattr(cls, name, wrapped)


def arm(step: str, killer: Killer) -> None:
    """Have the killer wait at a step."""
    if step == "after-poll":
        killer.after(KafkaSource, "poll", bool)
    elif step == "after-write":
        killer.after(KafkaSink, "write")
        killer.after(SqlSink, "write")
    elif step == "after-produce":
        killer.after(ProduceRequests, "_check_responses")
        killer.after(DeliveryClient, "deliver")
        killer.after(BatchWriter, "_finish")
    elif step == "after-flush":
        killer.after(KafkaSink, "flush")
        killer.after(SqlSink, "flush")
    elif step == "between-rows-and-positions":
        killer.before(SqlSink, "_commit")
        killer.before(KafkaSink, "commit_transaction")
        killer.before(WorkerTransaction, "commit")
    elif step == "between-offsets-and-commit":
        killer.after(TransactionalClient, "send_offsets")
        killer.before(SqlSink, "_commit")
    elif step == "before-commit":
        killer.before(KafkaSource, "commit")
    elif step == "after-commit":
        killer.after(KafkaSource, "commit")
    elif step == "commit-before-flush":
        _have_the_habit(killer)
    else:
        raise SystemExit(f"there is no step {step}")


def _have_the_habit(killer: Killer) -> None:
    drive: Any = loop.PipelineRunner
    flush = drive._flush

    def commit_first(self: Any) -> None:
        if self._positions:
            self._pipeline.source.commit(self._positions)
            killer.passed()
        flush(self)

    drive._flush = commit_first


if __name__ == "__main__":
    arm(sys.argv[1], Killer(Path(sys.argv[2])))
    sys.exit(program.main(sys.argv[3:]))
