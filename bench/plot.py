# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Plots the rates of tables as SVG."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle

_ROW_PX, _FRAME_PX = 30, 110
_LOWEST = 100
_TICKS = (100, 1_000, 10_000, 100_000)
_COLOURS = ("#3b6ea5", "#a55b3b", "#4f8f4f", "#8a5a9c", "#8f8f3b", "#3b8f8f")


def draw(tables: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Bars on a logarithmic scale, one a case; each table has a colour."""
    drawn = [table for table in tables if table["rows"]]
    bars = [
        {"value": row["events_per_s"], "color": colour, "label": row["what"]}
        for table, colour in zip(drawn, itertools.cycle(_COLOURS), strict=False)
        for row in table["rows"]
    ]
    # The first of a horizontal chart is its lowest.
    bars.reverse()
    chart = pygal.HorizontalBar(
        style=CleanStyle(font_family="sans-serif", label_font_size=11, value_font_size=11, title_font_size=14),
        title="events, rows or requests a second (logarithmic)",
        logarithmic=True,
        range=(_LOWEST, max((bar["value"] for bar in bars), default=_LOWEST) * 1.5),
        zero=_LOWEST,
        y_labels=_TICKS,
        height=_FRAME_PX + _ROW_PX * len(bars),
        width=1_000,
        show_legend=False,
        truncate_label=-1,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:,.0f}",
        js=[],
    )
    chart.x_labels = [bar["label"] for bar in bars]
    chart.add("rate", bars)
    file.write_bytes(chart.render())
