# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""How long each role's records hold their events, and the batches that follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers import roles
from elworkers.config.argument_files import Argument
from elworkers.core.event_retention import EventRetention
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import Pipeline
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.processor import event_retention
from elworkers.roles.validate import check_arguments

MAPPED = "function=mysql_mapper"


def built(role: str, *words: str, batch_records: int | None = None) -> Pipeline:
    arguments = check_arguments(role, [Argument(word) for word in words])
    pipeline: Pipeline = roles.module(role).build(arguments, PipelineBuilder(Counters(), batch_records=batch_records))
    pipeline.close()
    return pipeline


@pytest.mark.parametrize(
    ("fields", "has_functions", "expected"),
    [
        ([set()], False, EventRetention.ROUTING_FIELDS),
        ([{"schema"}, {"schema", "revision"}], False, EventRetention.ROUTING_FIELDS),
        ([set()], True, EventRetention.UNTIL_WRITTEN),
        ([{"schema"}, {"wiki"}], False, EventRetention.UNTIL_WRITTEN),
        ([{"event"}], False, EventRetention.UNTIL_WRITTEN),
    ],
)
def test_a_processor_holds_what_its_outputs_need(
    fields: list[set[str]], has_functions: bool, expected: EventRetention
) -> None:
    assert event_retention(fields, has_functions=has_functions) is expected


@pytest.mark.parametrize(
    ("words", "retention", "records"),
    [
        (("%j", "stdin:", "stdout:"), EventRetention.ROUTING_FIELDS, 20_000),
        (("%j", f"map://stdin:?{MAPPED}", "stdout:"), EventRetention.UNTIL_WRITTEN, 4_000),
        (("%j", "stdin:", "stdout:", f"map://stdout:?{MAPPED}"), EventRetention.UNTIL_WRITTEN, 4_000),
    ],
)
def test_a_processors_pipeline_has_the_chosen_mode(
    words: tuple[str, ...], retention: EventRetention, records: int
) -> None:
    pipeline = built("processor", *words)
    assert (pipeline.retention, pipeline.batch.records) == (retention, records)
    assert pipeline.stages[0]._keeps_events is retention.keeps_events  # type: ignore[attr-defined]
    assert built("processor", *words, batch_records=7).batch.records == 7


def test_all_other_roles_hold_events_until_they_are_flushed(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    pipelines = [
        built("forwarder", "stdin:", "stdout:"),
        built("multiplexer", "stdout:", "stdin:"),
        built("consumer", f"file://{tmp_path}/in", f"sqlite:///{tmp_path}/db", f"--schemas={tmp_path}"),
    ]
    assert [pipeline.retention for pipeline in pipelines] == [EventRetention.UNTIL_FLUSHED] * 3


@pytest.mark.parametrize(
    ("retention", "expected"),
    [
        (EventRetention.ROUTING_FIELDS, (False, True, None, 20_000, True)),
        (EventRetention.UNTIL_WRITTEN, (True, True, 250, 4_000, False)),
        (EventRetention.UNTIL_FLUSHED, (True, False, 250, 4_000, False)),
    ],
)
def test_what_follows_from_a_mode(
    retention: EventRetention, expected: tuple[bool, bool, int | None, int, bool]
) -> None:
    found = (
        retention.keeps_events,
        retention.drops_written,
        retention.chunk_size,
        retention.batch_records,
        retention.fills_batches,
    )
    assert found == expected
