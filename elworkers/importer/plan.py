# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the configuration of an importer and of one of its runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from elworkers.connectors.kafka.driver import Reader
from elworkers.importer.compression import Format
from elworkers.importer.hour_bucketer import HourBucketer
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.topic_selection import TopicSelection


class ImportPlan(NamedTuple):
    """What an importer is to do.

    Attributes:
        selection: of which topics.
        bucketer: into which hours.
        file_format: how files are written.
        roll_policy: when files are closed.
    """

    selection: TopicSelection
    bucketer: HourBucketer
    file_format: Format
    roll_policy: RollPolicy


class RunOptions(NamedTuple):
    """The arguments of `Importer.run`, which says what they are."""

    reader: Reader
    keep_going: Callable[[int, int], bool]
    everything: bool
    now_ms: int
    stopped: Callable[[], bool]
