"""Importer: topics that match come in; files in folders by schema and hour go out, each message in exactly one."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elworkers.arguments import Arguments, Option, Positional, RoleSpec
from elworkers.contracts import Metrics
from elworkers.errors import ConfigurationError, RetryableError, UnfinishedError
from elworkers.kinds import minutes, seconds, whole, words
from elworkers.roles.common import COMMON, SCHEMAS
from elworkers.runtime import loop
from elworkers.runtime.backoff import Backoff
from elworkers.runtime.stop import Stop
from elworkers.runtime.worker import Who
from elworkers.schemes import check_store, check_topics

if TYPE_CHECKING:
    from elworkers.importer.formats import Format
    from elworkers.importer.selection import Selection
    from elworkers.importer.work import Importer
    from elworkers.kafka.reader import TopicsReader

_DAY_MS, _MINUTE_MS, _SECOND_MS = 86_400_000, 60_000, 1000
_LONGEST_WAIT_S = 1.0
_FORMATS, _COMPRESSIONS, _TIME_FIELDS = ("json", "parquet"), ("none", "gzip", "zstd"), ("timestamp", "dt")

SPEC = RoleSpec(
    "importer",
    "Reads every topic that KAFKA names and writes files to BASE/<schema>/<year>/<month>/<day>/<hour>/.",
    (
        Positional("kafka", "topics", "brokers and topics, as kafka:///HOST:PORT?topics=eventlogging_.+"),
        Positional(
            "base", "store", "where folders are made: hdfs://NAMENODE:9870/PATH, file:///PATH, or any of fsspec's"
        ),
    ),
    (
        Option(
            "--time-field",
            f"what says an event's hour: {' or '.join(_TIME_FIELDS)}",
            words(*_TIME_FIELDS),
            default="timestamp",
        ),
        Option("--max-historical-days", "older events are kept aside, in late/", whole(1), default=7),
        Option("--max-future-minutes", "events further ahead are kept aside, in future/", whole(0), default=60),
        Option(
            "--out-of-range",
            "what is done with both: folder (late/, future/) or drop (they are counted)",
            words("folder", "drop"),
            default="folder",
        ),
        Option("--format", f"one of {', '.join(_FORMATS)}", words(*_FORMATS), default="json"),
        Option("--compression", f"one of {', '.join(_COMPRESSIONS)}", words(*_COMPRESSIONS), default="none"),
        Option("--every", "seconds from the beginning of one run to that of the next", seconds, default=300.0),
        Option("--once", "one run, then end: 0 when everything is imported, 75 when not", value="none", default=False),
        Option("--max-run-minutes", "a run ends after so long, wherever it is", minutes, default=55.0),
        Option(
            "--grace", "seconds after the end of an hour in which its events may still come", seconds, default=600.0
        ),
        Option("--max-file-bytes", "a file is closed at so many bytes of lines", whole(1), default=128 * 1024**2),
        Option(
            "--max-file-age", "a file is closed when its first line came so many seconds ago", seconds, default=3600.0
        ),
        Option("--draft-dir", "where files are before they are written to BASE (default: in EVENTLOGGING_RUN_DIR)"),
        SCHEMAS,
        *COMMON,
    ),
)


def check(arguments: Arguments) -> None:
    """Refuse what only the role as a whole shows to be wrong.

    Raises:
        ConfigurationError: Parquet is asked for with a compression of lines.
    """
    if arguments["format"] == "parquet" and arguments["compression"] == "gzip":
        raise ConfigurationError("--compression gzip; expected none or zstd with --format parquet")


def run(arguments: Arguments, who: Who, stop: Stop, metrics: Metrics, board: loop.Board) -> None:
    """Import until asked to stop, or with `--once` a single time.

    Raises:
        ConfigurationError: a driver or format cannot be had.
        UnfinishedError: a single run has not imported everything.
    """
    work = _Work(arguments, who, stop, metrics, board)
    try:
        work.once() if arguments["once"] else work.for_ever()
    finally:
        work.close()


class _Work:
    """The runs of one worker, one after another."""

    def __init__(self, arguments: Arguments, who: Who, stop: Stop, metrics: Metrics, board: loop.Board) -> None:
        self._arguments = arguments
        self._who = who
        self._stop = stop
        self._metrics = metrics
        self._board = board
        self._backoff = Backoff()
        self._importer: Importer | None = None
        self._reader: TopicsReader | None = None
        self._left = ""
        self._scratch = tempfile.TemporaryDirectory(prefix="eventlogging-import-")

    def for_ever(self) -> None:
        """A run every so often."""
        while not self._stop.requested:
            began = time.monotonic()
            pause_s = self._one_run(began + self._longest_s, lambda _done, _total: None)
            if pause_s is None:
                pause_s = max(0.0, began + self._arguments["every"] - time.monotonic())
            self._wait(pause_s)

    @property
    def _longest_s(self) -> float:
        return float(self._arguments["max_run_minutes"] * 60)

    def _wait(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, _LONGEST_WAIT_S)):
            self._board.show(loop.State.RUNNING)

    def once(self) -> None:
        """A single run, tried again while there is time."""
        deadline = time.monotonic() + self._longest_s
        with _progress(self._who, self._arguments["workers"]) as tell:
            while (pause_s := self._one_run(deadline, tell)) is not None:
                self._wait(min(pause_s, max(0.0, deadline - time.monotonic())))
                if time.monotonic() >= deadline or self._stop.requested:
                    raise UnfinishedError(self._left)
        if self._left:
            raise UnfinishedError(self._left)

    def _one_run(self, deadline: float, tell: Callable[[int, int], None]) -> float | None:
        """How long to wait before it is tried again; None when it went through."""

        def goes_on(done: int, total: int) -> bool:
            tell(done, total)
            self._board.show(loop.State.RUNNING)
            return time.monotonic() < deadline and not self._stop.requested

        self._left = ""
        try:
            importer, reader = self._ready()
            result = importer.run(reader, goes_on, everything=self._arguments["once"])
        except RetryableError as error:
            self._metrics.count("restarts")
            self._left = str(error)
            self._begin_anew()
            self._board.show(loop.State.WAITING)
            return self._backoff.failed(str(error))
        self._backoff.worked()
        if result.left and self._arguments["once"]:
            self._left = f"{result.left} messages are not imported yet; the next run goes on there"
        return None

    def _ready(self) -> tuple[Importer, TopicsReader]:
        from elworkers.kafka.reader import TopicsReader
        from elworkers.roles.wiring import brokers

        if self._importer is None:
            drafts = _draft_dir(self._arguments, self._who) or Path(self._scratch.name)
            self._importer = _importer(self._arguments, self._who, drafts, self._metrics, self._alive)
        if self._reader is None:
            source = check_topics(self._arguments["kafka"])
            self._reader = TopicsReader(brokers(source.uri), source.options["fetch_message_max_bytes"])
        return self._importer, self._reader

    def _alive(self) -> None:
        self._board.show(loop.State.RUNNING)

    def _begin_anew(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._importer is not None:
            self._importer.in_doubt()

    def close(self) -> None:
        self._begin_anew()
        if self._importer is not None:
            self._importer.close()
        self._scratch.cleanup()


def selection(arguments: Arguments, worker: int = 0, workers: int = 1) -> Selection:
    """The topics that an instance, or one of its workers, imports."""
    from elworkers.importer.selection import Selection

    options = check_topics(arguments["kafka"]).options
    unwanted = re.compile(options["blacklist"]) if options["blacklist"] else None
    return Selection(re.compile(options["topics"]), unwanted, worker, workers)


def _importer(arguments: Arguments, who: Who, drafts: Path, metrics: Metrics, alive: Callable[[], None]) -> Importer:
    from elworkers.importer.drafts import Drafts
    from elworkers.importer.hours import Sorter
    from elworkers.importer.store import Store
    from elworkers.importer.stretch import Closing
    from elworkers.importer.work import Importer, Plan

    plan = Plan(
        selection(arguments, who.worker, arguments["workers"]),
        Sorter(
            metrics,
            arguments["time_field"],
            arguments["max_historical_days"] * _DAY_MS,
            arguments["max_future_minutes"] * _MINUTE_MS,
            keep_aside=arguments["out_of_range"] == "folder",
        ),
        _format(arguments, metrics),
        Closing(arguments["max_file_bytes"], arguments["max_file_age"], int(arguments["grace"] * _SECOND_MS)),
    )
    return Importer(Store(check_store(arguments["base"])), Drafts(drafts), plan, metrics, alive)


def _format(arguments: Arguments, metrics: Metrics) -> Format:
    from elworkers.importer.formats import Format, json_lines

    if arguments["format"] == "json":
        return json_lines(arguments["compression"])
    from elworkers.importer.parquet import Parquet
    from elworkers.roles.wiring import Wiring

    store = Wiring(metrics).schema_store(arguments["schemas"])
    parquet = Parquet(lambda name, revision: store.schema(name, revision).source, arguments["compression"])
    return Format(".parquet", parquet.encode)


def _draft_dir(arguments: Arguments, who: Who) -> Path | None:
    if arguments["draft_dir"]:
        return Path(arguments["draft_dir"]) / str(who.worker)
    run_dir = os.environ.get("EVENTLOGGING_RUN_DIR")
    return Path(run_dir) / "import" / f"{who.role}-{who.instance}" / str(who.worker) if run_dir else None


@contextmanager
def _progress(who: Who, workers: int) -> Iterator[Callable[[int, int], None]]:
    """Shows how far a run is, where somebody sits at a terminal; several workers' bars would overwrite each other."""
    if workers > 1 or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"importing ({who.instance})", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
