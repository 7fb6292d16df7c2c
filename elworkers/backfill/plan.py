# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads and checks the command line of `eventlogging-backfill`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elworkers.backfill.state import LOCK, SCRATCH
from elworkers.backfill.topic import Span
from elworkers.config.argument_files import Argument, process_environment, read_command_line
from elworkers.config.arguments import Arguments, Option, Positional, RoleSpec, parse
from elworkers.config.options import REJECTED
from elworkers.config.types import integer, seconds
from elworkers.config.uris import Endpoint
from elworkers.connectors.connector import SinkEndpoint, SourceEndpoint
from elworkers.connectors.registry import check_sink, check_sources
from elworkers.core.errors import ConfigurationError
from elworkers.roles.common_options import COMMON, SCHEMAS, STATSD_NAMES

PROGRAM = "eventlogging-backfill"
_STATE = ".backfill"


def timestamp(text: str) -> int:
    """Return a time in ms since the epoch, of ISO 8601 (UTC where it names no zone) or Unix seconds."""
    if re.fullmatch("[0-9]{9,11}", text):
        return int(text) * 1000
    try:
        found = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        raise ValueError("a time as 2016-07-29T12:00:00Z or 2016-07-29, or Unix seconds") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


SPEC = RoleSpec(
    "backfill",
    "Parses the lines of every INPUT by FORMAT, validates the events, and stores each valid one once in OUTPUT.",
    (
        Positional("format", "format", "format of the lines; same as FORMAT of eventlogging-processor"),
        Positional(
            "input",
            "lines",
            "log file, plain or compressed by gzip, bzip2 or zstd; or a topic, as kafka:///HOST:PORT?topic=NAME",
            many=True,
        ),
        Positional("output", "sink", "URI to store events in; same as OUTPUT of eventlogging-consumer"),
    ),
    (
        Option(
            "--from",
            "topics only: start of the time range, as 2016-07-29T12:00Z (default: the earliest message)",
            timestamp,
        ),
        Option("--to", "topics only: end of the time range, not included (default: the latest message)", timestamp),
        Option(
            "--dry-run",
            "store nothing; print the number of events of each schema, and how many are stored already",
            value="none",
        ),
        Option(
            "--output-invalid",
            f"URI to write EventErrors to (default: topic eventlogging_EventError; for files: <file>{REJECTED})",
        ),
        SCHEMAS,
        Option(
            "--state",
            "file that holds the progress (default: <first INPUT file>.backfill, or ./<topic>.backfill)",
            metavar="FILE",
        ),
        Option("--again", "start over, and ignore the progress of earlier runs", value="none"),
        Option("--event-timeout", "time limit of one event, in seconds of processor time", seconds, default=1.0),
        Option("--batch-size", "largest number of records in a batch", integer(1), metavar="N"),
        STATSD_NAMES,
        *(option for option in COMMON if option.flag in ("--partitions", "--log-level")),
    ),
    (
        "Run the same command again to continue after an interruption. Exit codes: 0 everything is stored, 2 wrong"
        " usage, 65 some records were rejected, 75 stopped before the end, 78 the configuration cannot work.",
    ),
    (
        "# what a day's log files would store; without --dry-run it is stored",
        "eventlogging-backfill --dry-run \\",
        "    '%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i' \\",
        "    /srv/log/events.log-20160729*.gz mysql://user:password@host/log",
        "# twelve hours of a topic",
        "eventlogging-backfill '%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i' \\",
        "    'kafka:///k1:9092?topic=eventlogging-client-side' \\",
        "    mysql://user:password@host/log \\",
        "    --from 2016-07-29T00:00Z --to 2016-07-29T12:00Z",
    ),
)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        arguments: of the command line.
        paths: input files; empty where topics are read.
        topics: endpoints of the same brokers; empty where files are read.
        output: where events are stored.
        invalid: where EventErrors go, if the command line says.
        state: the state file.
    """

    arguments: Arguments
    paths: tuple[Path, ...]
    topics: tuple[SourceEndpoint, ...]
    state: Path
    output: SinkEndpoint
    invalid: SinkEndpoint | None = None

    @property
    def span(self) -> Span:
        """Which messages of topics."""
        return Span(self.arguments["from"], self.arguments["to"])

    @property
    def identity(self) -> Mapping[str, str]:
        """What tells it from other backfills, for the state file."""
        fields = {"format": self.arguments["format"], "output": _label(self.output)}
        if self.topics:
            fields["topic"] = ",".join(one.options["topic"] for one in self.topics)
            fields |= {name: str(value) for name in ("from", "to") if (value := self.arguments[name]) is not None}
        return fields


def plan(argv: Sequence[str]) -> Plan:
    """Return what the command line asks for.

    Raises:
        ConfigurationError: the first thing that is wrong.
    """
    from elworkers.events.parse import compile_format

    arguments = parse(SPEC, read_command_line(argv, process_environment()))
    compile_format(arguments["format"])
    output = check_sink(arguments["output"])
    output.spec.check_records(output, False)
    invalid = check_sink(arguments["output_invalid"]) if arguments["output_invalid"] is not None else None
    if invalid is not None and invalid.spec.tables:
        raise ConfigurationError(f"--output-invalid {invalid}: expected a Kafka topic or a file")
    given = arguments.locations["input"]
    named = [_sources(argument.text) for argument in given]
    of_topics = {bool(some and some[0].brokers) for some in named}
    if of_topics == {True}:
        topics = tuple(topic for some in named for topic in some)
        if len({topic.uri.hosts for topic in topics}) > 1:
            raise ConfigurationError("INPUT: topics of several clusters; expected one at a time")
        paths: tuple[Path, ...] = ()
        default = Path(topics[0].options["topic"] + _STATE).absolute()
    elif of_topics == {False}:
        if arguments["from"] is not None or arguments["to"] is not None:
            raise ConfigurationError("--from and --to are only for topics; expected files without them")
        topics, paths = (
            (),
            _without_own([_path(argument, some) for argument, some in zip(given, named, strict=True)]),
        )
        default = paths[0].with_name(paths[0].name + _STATE)
    else:
        raise ConfigurationError("INPUT: files and topics; expected one of the two")
    if len(set(paths)) < len(paths):
        raise ConfigurationError(f"INPUT: {_twice(paths)} is given twice; expected it once")
    state = Path(arguments["state"]).absolute() if arguments["state"] else default
    return Plan(arguments, paths, topics, state, output, invalid)


def _sources(text: str) -> Sequence[SourceEndpoint]:
    """Return the topics or the file of a URI; none of what is a path."""
    if re.match("[A-Za-z][A-Za-z0-9+.-]*:", text) is None:
        return ()
    found = check_sources(text)
    if not found[0].brokers and found[0].path is None:
        scheme = found[0].uri.scheme
        raise ConfigurationError(f"{scheme} URI: cannot be continued after an interruption; expected files or a topic")
    return found


def _path(argument: Argument, named: Sequence[SourceEndpoint]) -> Path:
    """Return the input file that an argument is, or that its URI names."""
    for endpoint in named:
        if endpoint.uri.query:
            raise argument.error(f"file URI: option {endpoint.uri.query[0][0]}; expected files without options")
    path = (named[0].path if named else None) or Path(argument.text)
    path = path.absolute()
    try:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "does not exist"
            raise argument.error(f"INPUT {path}: {problem}; expected log files")
        with path.open("rb"):
            pass
    except OSError as error:
        raise argument.error(f"INPUT {path}: cannot be read: {error.strerror}") from None
    return path


def _without_own(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the paths without what an earlier run has left beside them: `events.log*` matches that as well."""
    ends = (REJECTED, _STATE, _STATE + LOCK, _STATE + SCRATCH)
    own = {path.with_name(path.name + end) for path in paths for end in ends}
    return tuple(path for path in paths if path not in own)


def _twice(paths: Sequence[Path]) -> Any:
    return next(path for path in paths if paths.count(path) > 1)


def _label(endpoint: Endpoint) -> str:
    topic = tuple(pair for pair in endpoint.uri.query if pair[0] == "topic")
    return str(replace(endpoint.uri, query=topic, user=None, password=None, client=""))
