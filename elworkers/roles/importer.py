# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Importer: imports matching topics into files by schema and hour, each message into exactly one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from elworkers.config.arguments import Arguments, Option, Positional, RoleSpec
from elworkers.config.options import READ_UNCOMMITTED
from elworkers.config.types import choice, integer, minutes, seconds
from elworkers.core.errors import ConfigurationError
from elworkers.core.extras import needs
from elworkers.roles.common_options import COMMON, SCHEMAS

if TYPE_CHECKING:
    from elworkers.config.uris import Endpoint
    from elworkers.connectors.kafka.driver import Reader
    from elworkers.core.contracts import Metrics
    from elworkers.core.stop import Stop
    from elworkers.core.worker_state import StateReporter
    from elworkers.importer.compression import Format
    from elworkers.importer.importer import Importer
    from elworkers.importer.topic_selection import TopicSelection
    from elworkers.workers.worker import WorkerId

_DAY_MS, _MINUTE_MS, _SECOND_MS = 86_400_000, 60_000, 1000
_FORMATS, _COMPRESSIONS, _TIME_FIELDS = ("json", "parquet"), ("none", "gzip", "zstd"), ("timestamp", "dt")

_NONE_REJECTED = (
    "an importer refuses no message: it keeps those out of range in late/ and future/, and whole those that have no"
    " time or fit no columns"
)

SPEC = RoleSpec(
    "importer",
    "Reads topics of Kafka and writes files to BASE/<schema>/<year>/<month>/<day>/<hour>/.",
    (
        Positional("kafka", "topics", "brokers, and a pattern of topics, as kafka:///HOST:PORT?topics=eventlogging_.+"),
        Positional(
            "base", "storage", "folder to write to: hdfs://NAMENODE:9870/PATH, file:///PATH, or another URI of fsspec"
        ),
    ),
    (
        Option(
            "--time-field",
            f"field that has an event's time: {' or '.join(_TIME_FIELDS)}",
            choice(*_TIME_FIELDS),
            default="timestamp",
        ),
        Option("--max-historical-days", "events older than this many days go to late/", integer(1), default=7),
        Option(
            "--max-future-minutes",
            "events more than this many minutes ahead of now go to future/",
            integer(0),
            default=60,
        ),
        Option(
            "--out-of-range",
            "what to do with them: folder (write them to late/ and future/) or drop (only count them)",
            choice("folder", "drop"),
            default="folder",
        ),
        Option("--format", f"format of the files: {' or '.join(_FORMATS)}", choice(*_FORMATS), default="json"),
        Option(
            "--compression",
            f"compression of the files: one of {', '.join(_COMPRESSIONS)}",
            choice(*_COMPRESSIONS),
            default="none",
        ),
        Option("--every", "time from the start of one run to the start of the next", seconds, default=300.0),
        Option("--once", "do one run and exit: 0 if everything is imported, 75 if not", value="none", default=False),
        Option(
            "--max-run-minutes",
            "time limit of a run; the next run continues from there",
            minutes,
            default=55.0,
        ),
        Option("--grace", "how long to wait for late events after the end of an hour", seconds, default=600.0),
        Option(
            "--max-file-bytes",
            "size in bytes at which a file is closed, before compression",
            integer(1),
            default=128 * 1024**2,
        ),
        Option("--max-file-age", "a file is closed when it is this old", seconds, default=3600.0),
        Option(
            "--staging-dir",
            "local folder for files that are not complete yet (default: in EVENTLOGGING_RUN_DIR)",
            aliases=("--draft-dir",),
        ),
        Option("--output-invalid", "accepted without effect: an importer keeps every message", passed=_NONE_REJECTED),
        SCHEMAS,
        *COMMON,
    ),
    examples=(
        "eventlogging-importer 'kafka:///k1:9092?topics=eventlogging_.+' \\",
        "    hdfs://namenode:9870/wmf/data/raw/eventlogging",
    ),
)


def check(arguments: Arguments) -> None:
    """Check what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: Parquet is asked for with a compression of lines, or an extra is not installed.
    """
    from elworkers.connectors.kafka.drivers import check_settings

    (topics,) = arguments.locations["kafka"]
    try:
        check_settings(arguments.endpoints["kafka"][0])
    except ConfigurationError as error:
        raise error.at(topics.file, topics.line) from None
    parquet = arguments["format"] == "parquet"
    argument = arguments.locations["format" if parquet else "base"][0]
    try:
        needs("parquet", "--format parquet") if parquet else needs("hdfs", "an importer")
    except ConfigurationError as error:
        raise error.at(argument.file, argument.line) from None
    if arguments["format"] == "parquet" and arguments["compression"] == "gzip":
        raise ConfigurationError("--compression gzip; expected none or zstd with --format parquet")


def run(arguments: Arguments, worker_id: WorkerId, stop: Stop, metrics: Metrics, reporter: StateReporter) -> None:
    """Import until asked to stop, or with `--once` a single time.

    Raises:
        ConfigurationError: a driver or format cannot be had.
        UnfinishedError: a single run has not imported everything.
    """
    from elworkers.core.worker_state import State
    from elworkers.importer.scheduler import Schedule, Scheduler

    def heartbeat() -> None:
        reporter.report(State.RUNNING)

    def reader() -> Reader:
        return topics_reader(arguments.endpoints["kafka"][0])

    schedule = Schedule(arguments["every"], arguments["max_run_minutes"] * 60)
    with tempfile.TemporaryDirectory(prefix="eventlogging-import-") as scratch:
        staging = _staging_dir(arguments, worker_id) or Path(scratch)
        scheduler = Scheduler(
            lambda: _importer(arguments, worker_id, staging, metrics, heartbeat),
            reader,
            schedule,
            stop,
            metrics,
            reporter,
        )
        try:
            if arguments["once"]:
                # Several workers' bars would overwrite each other.
                scheduler.once(f"importing ({worker_id.instance})" if arguments["workers"] == 1 else None)
            else:
                scheduler.for_ever()
        finally:
            scheduler.close()


def topics_reader(source: Endpoint) -> Reader:
    """Return what reads the topics of an importer's input."""
    from elworkers.config.endpoints import brokers
    from elworkers.connectors.kafka.drivers import driver_of

    options = source.options
    uncommitted = options["transactions"] == READ_UNCOMMITTED
    return driver_of(source).reader(
        brokers(source.uri), options["fetch_message_max_bytes"], reads_uncommitted=uncommitted
    )


def selection(arguments: Arguments, worker: int = 0, workers: int = 1) -> TopicSelection:
    """Return the topics that an instance, or one of its workers, imports."""
    from elworkers.importer.topic_selection import TopicSelection

    options = arguments.endpoints["kafka"][0].options
    unwanted = re.compile(options["blacklist"]) if options["blacklist"] else None
    return TopicSelection(re.compile(options["topics"]), unwanted, worker, workers)


def _importer(
    arguments: Arguments, worker_id: WorkerId, staging: Path, metrics: Metrics, heartbeat: Callable[[], None]
) -> Importer:
    from elworkers.importer.hour_bucketer import HourBucketer
    from elworkers.importer.importer import Importer
    from elworkers.importer.pending_range import RollPolicy
    from elworkers.importer.plan import ImportPlan
    from elworkers.importer.staging import StagingFiles
    from elworkers.importer.store import Store

    plan = ImportPlan(
        selection(arguments, worker_id.worker, arguments["workers"]),
        HourBucketer(
            metrics,
            arguments["time_field"],
            arguments["max_historical_days"] * _DAY_MS,
            arguments["max_future_minutes"] * _MINUTE_MS,
            keep_out_of_range=arguments["out_of_range"] == "folder",
        ),
        _format(arguments, metrics),
        RollPolicy(arguments["max_file_bytes"], arguments["max_file_age"], int(arguments["grace"] * _SECOND_MS)),
    )
    return Importer(Store(arguments.endpoints["base"][0]), StagingFiles(staging), plan, metrics, heartbeat)


def _format(arguments: Arguments, metrics: Metrics) -> Format:
    from elworkers.importer.compression import Format, json_lines

    if arguments["format"] == "json":
        return json_lines(arguments["compression"])
    from elworkers.importer.parquet import Parquet
    from elworkers.importer.parquet_columns import StoredColumns
    from elworkers.importer.store import Store
    from elworkers.roles.build import PipelineBuilder

    store = PipelineBuilder(metrics).schema_store(arguments["schemas"])
    stored_columns = StoredColumns(Store(arguments.endpoints["base"][0]))
    parquet = Parquet(
        lambda name, revision: store.schema(name, revision).source, arguments["compression"], stored_columns
    )
    return Format(".parquet", parquet.encode)


def _staging_dir(arguments: Arguments, worker_id: WorkerId) -> Path | None:
    if arguments["staging_dir"]:
        return Path(arguments["staging_dir"]) / str(worker_id.worker)
    run_dir = os.environ.get("EVENTLOGGING_RUN_DIR")
    return (
        Path(run_dir) / "import" / f"{worker_id.role}-{worker_id.instance}" / str(worker_id.worker) if run_dir else None
    )
