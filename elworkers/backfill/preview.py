# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts the events of each schema in the input of a backfill, and those that are stored already (`--dry-run`)."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from elworkers.core.contracts import Record, Source, Stage
from elworkers.core.terminal import printable
from elworkers.core.text_table import format_table

_RECORDS = 4_000
_POLL_S = 0.5

StoredLookup = Callable[[str, int, Iterable[str]], set[str]]
"""Says of a schema's events, by their uuids, which are in the store."""


@dataclass
class _Row:
    events: int = 0
    stored: int = 0
    others: array[int] = field(default_factory=lambda: array("Q"))


class Preview:
    """What a backfill would store.

    Args:
        stored: looks up stored events; None if the output has no such lookup.
    """

    def __init__(self, stored: StoredLookup | None) -> None:
        self._is_stored = stored
        self._rows: defaultdict[tuple[str, int], _Row] = defaultdict(_Row)
        self._invalid: Counter[str] = Counter()

    def read(self, source: Source, stages: Sequence[Stage], stopped: Callable[[], bool]) -> None:
        """Look at everything that the source has.

        Raises:
            RetryableError: the source, a schema or the store is away.
        """
        while not (source.exhausted or stopped()):
            records = source.poll(_RECORDS, _POLL_S)
            for stage in stages:
                records = stage(records)
            self._add(records)

    def _add(self, records: Iterable[Record]) -> None:
        found: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for record in records:
            event = record.event or {}
            if record.valid:
                found[event["schema"], event["revision"]].append(event["uuid"])
            else:
                self._invalid[event["event"]["code"]] += 1
        for named, uuids in found.items():
            stored = self._is_stored(*named, uuids) if self._is_stored else set()
            row = self._rows[named]
            row.events += len(uuids)
            row.stored += sum(uuid in stored for uuid in uuids)
            # Of a day there are millions; 64 bits tell them apart.
            row.others.extend(hash(uuid) & 0xFFFF_FFFF_FFFF_FFFF for uuid in uuids if uuid not in stored)

    def text(self) -> str:
        """Return what was found, for people to read."""
        lines = [("SCHEMA", "REVISION", "EVENTS", "STORED ALREADY", "DUPLICATES", "TO STORE")]
        to_store = 0
        for (schema, revision), row in sorted(self._rows.items()):
            new = len(set(row.others))
            to_store += new
            stored = str(row.stored) if self._is_stored else "?"
            lines.append((schema, str(revision), str(row.events), stored, str(len(row.others) - new), str(new)))
        codes = ", ".join(f"{count} {printable(code)}" for code, count in sorted(self._invalid.items()))
        invalid = f"lines that are no valid events: {self._invalid.total()}{f' ({codes})' if codes else ''}"
        return f"{format_table(lines)}\n{invalid}\nthis was a dry run; events to store: {to_store}"
