# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Shows a progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

Tell = Callable[[int, int], None]
"""Takes how much is done of how much."""


@contextmanager
def progress(title: str | None, *, in_bytes: bool = False) -> Iterator[Tell]:
    """Return a bar for as long as this is entered.

    Args:
        title: what is done; None: no bar.
        in_bytes: what is counted is bytes.
    """
    # The base installation has no bars.
    if title is None or not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
