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
        "name of the instance in process titles, logs and state files (default: name of FILE)",
        instance_name,
        metavar="NAME",
    ),
    Option("--workers", "number of worker processes", integer(1), default=1, metavar="N"),
    Option(
        "--stop-timeout",
        "time limit of a stop: workers that have not flushed and committed by then are killed",
        seconds,
        default=30.0,
    ),
    Option(
        "--worker-timeout",
        "a worker that makes no progress for this long is killed and replaced",
        seconds,
        default=300.0,
    ),
    Option(
        "--partitions",
        "number of partitions of topics that are created (default: the broker's)",
        integer(1),
        metavar="N",
    ),
    Option("--log-level", f"one of {', '.join(LEVELS)}", choice(*LEVELS), default="info", metavar="LEVEL"),
)
_BATCH_SIZE = Option("--batch-size", "largest number of records in a batch", integer(1), metavar="N")
STORED_BATCH = (_BATCH_SIZE, Option("--batch-seconds", "a batch is written when it is this old", seconds))
SENT_BATCH = (
    _BATCH_SIZE,
    Option("--linger", "how long a batch waits for more records", non_negative, default=0.0),
)
SID = Option("--sid", "consumer group that reads INPUT; same as identity= in its URI", group, metavar="GROUP")
SCHEMAS = Option(
    "--schemas",
    "folder of schemas, or URL of a schema wiki's api.php; if repeated, a schema is taken from the first that has it",
    repeatable=True,
    metavar="URI",
)

EVENT_TIMEOUT = Option(
    "--event-timeout", "time limit of a map:// or filter:// function for one event", seconds, default=1.0
)

STATSD_NAMES = Option(
    "--statsd-names",
    "start of the metric names: host for eventlogging.<this host>, original for eventlogging (without the host)",
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
