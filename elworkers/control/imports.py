"""Importer instances come in; how far each of their topics has come, as a table for operators, goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from elworkers.arguments import Arguments
from elworkers.control.instances import Instance
from elworkers.control.table import aligned
from elworkers.passwords import without_passwords
from elworkers.terminal import printable

_HEADINGS = ("TOPIC", "HEAD", "IMPORTED UP TO", "LAG", "LAST FILE", "HOURS FINISHED")


def report(instances: Iterable[Instance], aside: Callable[[Instance], Mapping[str, str]]) -> str:
    """A table for each instance, and behind it what stands still, and why.

    Args:
        instances: of importers.
        aside: what an instance says that it has set aside, and why.

    Raises:
        ConfigurationError: the driver of a folder cannot be had.
        RetryableError: Kafka or the folder's store does not answer.
    """
    return "\n\n".join(f"{instance.title}\n{_table(instance.arguments, aside(instance))}" for instance in instances)


def _table(arguments: Arguments, aside: Mapping[str, str]) -> str:
    from elworkers.importer.status import Row, rows
    from elworkers.importer.store import Store
    from elworkers.roles.importer import selection, topics_reader
    from elworkers.schemes import check_store, check_topics

    reader = topics_reader(check_topics(arguments["kafka"]))
    try:
        found = rows(reader, Store(check_store(arguments["base"])), selection(arguments))
    finally:
        reader.close()

    def cells(row: Row) -> tuple[str, ...]:
        hours = f"up to {row.last_finished}" if row.last_finished else "none"
        hours += f", {row.unfinished} not yet" if row.unfinished else ""
        return row.topic, str(row.head), str(row.imported), str(row.lag), row.last_file or "-", hours

    standing = {**{f"topic {row.topic}": row.fault for row in found if row.fault}, **aside}
    notes = [printable(f"stands still: {what}: {without_passwords(why)}") for what, why in sorted(standing.items())]
    return "\n".join([aligned([_HEADINGS, *map(cells, found)]), *notes])
