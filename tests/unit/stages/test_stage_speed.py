# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The stage beside one bare call of jsonschema, as a ratio in one process; `python -m bench.stage` says more."""

from __future__ import annotations

import statistics

from bench.rounds import cpu_per_event, in_turns
from bench.stage import PARSED_AGENT, Bench, Turns, fresh_event, fresh_record, lines
from elworkers.core.event_retention import EventRetention

AT_LEAST = 4.0
"""Wanted are 10.6; machines with other work to do slow the stage down more, since it goes through more memory."""


def test_the_stage_takes_a_fraction_of_a_bare_call_of_jsonschema() -> None:
    bench = Bench()
    records = lines("client-side")[:5_000]
    events = [
        one.event
        for one in bench.stage(PARSED_AGENT, retention=EventRetention.UNTIL_FLUSHED)(records)
        if one.valid and one.event
    ]
    cases = {
        "stage": Turns(bench.stage(PARSED_AGENT), records, 250, fresh_record),
        "bare": Turns(bench.bare, events, 50, fresh_event),
    }
    taken = in_turns(cases, 41)
    ratios = [
        cpu_per_event(bare) / cpu_per_event(stage) for bare, stage in zip(taken["bare"], taken["stage"], strict=True)
    ]
    assert statistics.median(ratios) >= AT_LEAST
