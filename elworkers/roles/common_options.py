# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Options that every role takes come in with its arguments; what they mean for the pool goes out."""

from __future__ import annotations

import re

from elworkers.config.arguments import Option
from elworkers.config.types import group, seconds, wait, whole, words
from elworkers.connectors.connector import SourceEndpoint
from elworkers.core.errors import ConfigurationError
from elworkers.monitoring import statsd

LEVELS = ("debug", "info", "warning", "error")


def instance_name(text: str) -> str:
    """A name that can stand in file names, process titles and supervisord's configuration."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        raise ValueError("a name of letters, digits, '.', '_' and '-'")
    return text


COMMON = (
    Option("--name", "instance name in titles, logs and state (default: the instance file's)", instance_name),
    Option("--workers", "worker processes", whole(1), default=1),
    Option("--stop-timeout", "seconds in which workers flush and commit when asked to stop", seconds, default=30.0),
    Option("--worker-timeout", "seconds without a sign of life before a worker is replaced", seconds, default=300.0),
    Option("--partitions", "partitions of topics that have to be created", whole(1)),
    Option("--log-level", f"one of {', '.join(LEVELS)}", words(*LEVELS), default="info"),
)
_BATCH_SIZE = Option("--batch-size", "records in a batch", whole(1))
STORED_BATCH = (_BATCH_SIZE, Option("--batch-seconds", "age of a batch in seconds", seconds))
SENT_BATCH = (
    _BATCH_SIZE,
    Option("--linger", "seconds that a batch waits for more records before it is sent", wait, default=0.0),
)
SID = Option("--sid", "consumer group of the input", group)
SCHEMAS = Option(
    "--schemas",
    "where schemas are: a folder or a schema wiki's api.php; may be given again, in order of preference",
    repeatable=True,
)

EVENT_TIMEOUT = Option(
    "--event-timeout", "seconds that a function of map:// or filter:// may take for one event", seconds, default=1.0
)

STATSD_NAMES = Option(
    "--statsd-names",
    "host: names sent to statsd begin with eventlogging.<this host>; original: with eventlogging, as the original's",
    words(*statsd.NAMES),
    default="host",
)


def has_beside(source: SourceEndpoint) -> bool:
    """Whether an input is a file, beside which there may be another one; not so a pipe or a device."""
    path = source.path
    return path is not None and (path.is_file() or not path.exists())


def single_worker(role: str, why: str, workers: int) -> None:
    """Refuse more than one worker where they would be in each other's way.

    Raises:
        ConfigurationError: `workers` is more than 1.
    """
    if workers > 1:
        raise ConfigurationError(f"--workers {workers}: {role} has room for 1, because {why}")
