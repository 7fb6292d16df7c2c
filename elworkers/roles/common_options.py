# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Declares the options that several roles share."""

from __future__ import annotations

import re

from elworkers.config.arguments import Option
from elworkers.config.types import choice, group, integer, non_negative, seconds
from elworkers.connectors.connector import SourceEndpoint
from elworkers.core.errors import ConfigurationError
from elworkers.monitoring import statsd

LEVELS = ("debug", "info", "warning", "error")


def instance_name(text: str) -> str:
    """Return a name that can stand in file names, process titles and supervisord's configuration."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        raise ValueError("a name of letters, digits, '.', '_' and '-'")
    return text


COMMON = (
    Option(
        "--name",
        "name of the instance in process titles, logs and state files (default: name of the instance file)",
        instance_name,
    ),
    Option("--workers", "number of worker processes", integer(1), default=1),
    Option(
        "--stop-timeout",
        "seconds that workers have to flush and commit when asked to stop; then they are killed",
        seconds,
        default=30.0,
    ),
    Option(
        "--worker-timeout", "seconds without a sign of life after which a worker is replaced", seconds, default=300.0
    ),
    Option("--partitions", "partitions of topics that are created (default: the broker's)", integer(1)),
    Option("--log-level", f"one of {', '.join(LEVELS)}", choice(*LEVELS), default="info"),
)
_BATCH_SIZE = Option("--batch-size", "largest number of records in a batch", integer(1))
STORED_BATCH = (_BATCH_SIZE, Option("--batch-seconds", "age in seconds at which a batch is written", seconds))
SENT_BATCH = (
    _BATCH_SIZE,
    Option("--linger", "seconds that a batch may wait for more records", non_negative, default=0.0),
)
SID = Option("--sid", "consumer group that reads the input", group)
SCHEMAS = Option(
    "--schemas",
    "folder of schemas, or URL of a schema wiki's api.php; may be repeated, the first that has a schema counts",
    repeatable=True,
)

EVENT_TIMEOUT = Option(
    "--event-timeout", "time limit in seconds of a map:// or filter:// function for one event", seconds, default=1.0
)

STATSD_NAMES = Option(
    "--statsd-names",
    "beginning of the metric names: host (eventlogging.<this host>) or original (eventlogging, as the original's)",
    choice(*statsd.NAMES),
    default="host",
)


def has_beside(source: SourceEndpoint) -> bool:
    """Return whether an input is a file, beside which there may be another one; not so a pipe or a device."""
    path = source.path
    return path is not None and (path.is_file() or not path.exists())


def single_worker(role: str, why: str, workers: int) -> None:
    """Raise for more than one worker where they would be in each other's way.

    Raises:
        ConfigurationError: `workers` is more than 1.
    """
    if workers > 1:
        raise ConfigurationError(f"--workers {workers}: {role} works with 1 worker only, because {why}")
