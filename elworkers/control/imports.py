"""Importer instances come in; how far each of their topics has come, as a table for operators, goes out."""

from __future__ import annotations

from collections.abc import Iterable

from elworkers.arguments import Arguments
from elworkers.control.instances import Instance
from elworkers.control.table import aligned

_HEADINGS = ("TOPIC", "HEAD", "IMPORTED UP TO", "LAG", "LAST FILE", "HOURS FINISHED")


def report(instances: Iterable[Instance]) -> str:
    """A table for each instance.

    Raises:
        ConfigurationError: the driver of a folder cannot be had.
        RetryableError: Kafka or the folder's store does not answer.
    """
    return "\n\n".join(f"{instance.title}\n{_table(instance.arguments)}" for instance in instances)


def _table(arguments: Arguments) -> str:
    from elworkers.importer.status import Row, rows
    from elworkers.importer.store import Store
    from elworkers.kafka.reader import TopicsReader
    from elworkers.roles.importer import selection
    from elworkers.roles.wiring import brokers
    from elworkers.schemes import check_store, check_topics

    reader = TopicsReader(brokers(check_topics(arguments["kafka"]).uri))
    try:
        found = rows(reader, Store(check_store(arguments["base"])), selection(arguments))
    finally:
        reader.close()

    def cells(row: Row) -> tuple[str, ...]:
        hours = f"up to {row.last_finished}" if row.last_finished else "none"
        hours += f", {row.unfinished} not yet" if row.unfinished else ""
        return row.topic, str(row.head), str(row.imported), str(row.lag), row.last_file or "-", hours

    return aligned([_HEADINGS, *map(cells, found)])
