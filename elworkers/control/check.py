# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Turns rows of `status` into the exit code and the line of a Nagios check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from elworkers.control.status import Row
from elworkers.core.passwords import without_passwords
from elworkers.core.terminal import printable
from elworkers.core.text_table import duration, since

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit codes of a Nagios check."""

_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_LONGEST_REASON = 200
_MOST_NAMED = 10


class Limits(NamedTuple):
    """After how many seconds of waiting the check is WARNING, and CRITICAL."""

    warning_s: float = 60.0
    critical_s: float = 300.0


DEFAULT = Limits()


class _Finding(NamedTuple):
    code: int
    text: str


def nagios(found: Sequence[Row], limits: Limits = DEFAULT, warnings: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit code and the text of the check; the worst comes first.

    Args:
        found: the instances.
        limits: how long one may wait.
        warnings: what else is wrong.
    """
    if not found:
        return UNKNOWN, "UNKNOWN: no EventLogging jobs are configured"
    every = [*_findings(found, limits), *(_Finding(WARNING, warning) for warning in warnings)]
    findings = sorted(every, key=lambda finding: -finding.code)
    if not findings:
        return OK, f"OK: {len(found)} EventLogging jobs are running."
    code = findings[0].code
    return code, line(f"{_WORDS[code]}: " + "; ".join(finding.text for finding in findings))


def _findings(found: Sequence[Row], limits: Limits) -> Iterator[_Finding]:
    stopped = [row.title for row in found if not row.runs]
    if stopped:
        yield _Finding(CRITICAL, f"Stopped EventLogging jobs: {' '.join(stopped)}")
    for row in found:
        if row.invalid and row.runs:
            yield _Finding(
                WARNING,
                f"{row.title} keeps its previous configuration; its file is invalid ({_short(row.note)})",
            )
        workers = row.workers
        if workers.crashing:
            yield _Finding(CRITICAL, f"{row.title} crashes again and again ({_short(workers.crash)})")
        if row.waits and workers.waits_s >= min(limits):
            code = CRITICAL if workers.waits_s >= limits.critical_s else WARNING
            how_long = duration(round(workers.waits_s))
            yield _Finding(code, f"{row.title} has waited {how_long} ({_short(workers.reason)})")
        if workers.aside or workers.more_aside:
            yield _Finding(WARNING, f"{row.title} has set aside {_aside(row)}")


def _aside(row: Row) -> str:
    aside, began = row.workers.aside, row.workers.aside_since
    named = [
        f"{_short(what)}{f' {since(began[what])}' if what in began else ''} ({_short(why)})"
        for what, why in sorted(aside.items())[:_MOST_NAMED]
    ]
    more = len(aside) - len(named) + row.workers.more_aside
    return ", ".join(named) + (f" and {more} more" if more else "")


def _short(reason: str) -> str:
    text = without_passwords(reason)
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def line(text: str) -> str:
    """Return the text as one line for Nagios, without the `|` that would begin performance data."""
    return printable(text).replace("|", "/")
