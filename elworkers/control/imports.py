# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Prints how far importers are with each of their topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from elworkers.config.arguments import Arguments
from elworkers.control.worker_states import WorkerStates
from elworkers.core.passwords import without_passwords
from elworkers.core.terminal import printable
from elworkers.core.text_table import format_table, since
from elworkers.roles.instances import Instance

_HEADINGS = ("TOPIC", "HEAD", "IMPORTED UP TO", "LAG", "LAST FILE", "HOURS FINISHED")


def report(instances: Iterable[Instance], states: Callable[[Instance], WorkerStates]) -> str:
    """Return a table for each instance, and behind it what stands still, since when and why.

    Args:
        instances: of importers.
        states: returns what the workers of an instance have reported last.

    Raises:
        ConfigurationError: the driver of a folder cannot be had.
        RetryableError: Kafka or the folder's store does not answer.
    """
    return "\n\n".join(f"{instance.title}\n{_table(instance.arguments, states(instance))}" for instance in instances)


def _table(arguments: Arguments, states: WorkerStates) -> str:
    from elworkers.importer.notes import Notes
    from elworkers.importer.progress import Row, rows
    from elworkers.importer.store import Store
    from elworkers.roles.importer import selection, topics_reader

    store, selected = Store(arguments.endpoints["base"][0]), selection(arguments)
    reader = topics_reader(arguments.endpoints["kafka"][0])
    try:
        found = rows(reader, store, selected)
    finally:
        reader.close()

    def cells(row: Row) -> tuple[str, ...]:
        hours = f"up to {row.last_finished}" if row.last_finished else "none"
        hours += f", {row.unfinished} not yet" if row.unfinished else ""
        return row.topic, str(row.head), str(row.imported), str(row.lag), row.last_file or "-", hours

    def standing() -> Iterator[str]:
        noted = {item.name: note for item, note in Notes(store).read().items() if selected.has(item.topic)}
        began = {**states.aside_since, **{what: note.since for what, note in noted.items()}}
        faults = {f"topic {row.topic}": row.fault for row in found if row.fault}
        why = {**faults, **{what: note.why for what, note in noted.items()}, **states.aside}
        for what in sorted(why):
            at = f" {since(began[what])}" if what in began else ""
            yield printable(f"stands still{at}: {what}: {without_passwords(why[what])}")

    return "\n".join([format_table([_HEADINGS, *map(cells, found)]), *standing()])
