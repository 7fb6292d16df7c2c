# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What makes sources and sinks of checked URIs: what they share, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.connectors.registry import bundled, check_sink, check_source
from elworkers.core.contracts import Record
from elworkers.core.errors import ConfigurationError
from elworkers.core.metrics import Counters
from elworkers.core.pipeline import CarryOver
from elworkers.roles.build import PipelineBuilder


def test_every_connector_makes_something_in_each_direction_that_it_has() -> None:
    for scheme, connector in bundled().items():
        assert connector.source or connector.sink or connector.storage, scheme
        if connector.source is not None:
            assert connector.source.open or connector.source.listener, scheme


def test_an_input_that_has_to_be_spooled_is_only_a_forwarders() -> None:
    with pytest.raises(ConfigurationError, match="varnish URI: only a forwarder takes events from it"):
        PipelineBuilder(Counters()).source(check_source("varnish:///frontend"))


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    builder = PipelineBuilder(Counters())
    sink = builder.output(check_sink(f"file://{tmp_path}/lines")).sink
    sink.write([Record(b"one"), Record(b"two")])
    assert sink.flush() == []
    sink.close()
    source = builder.source(check_source(f"file://{tmp_path}/lines"))
    assert [record.value for record in source.poll(10, 1.0)] == [b"one", b"two"]
    source.close()


def test_what_connectors_keep_of_the_process_outlives_a_pipeline_and_all_else_does_not() -> None:
    first = PipelineBuilder(Counters())
    first.process_state["ours"] = first.pipeline_state["ours"] = 1
    first.batch_size_hints.append(lambda: True)
    assert first.wants_more()
    second = first.with_carry_over(CarryOver())
    assert (second.process_state, second.pipeline_state, second.wants_more()) == ({"ours": 1}, {}, False)
