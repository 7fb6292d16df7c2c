# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Offsets of messages come in; the first one that none of them has goes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elworkers.connectors.kafka.pykafka.transactions import first_missing_offset


@given(st.integers(0, 20), st.lists(st.integers(0, 30)).map(sorted))
def test_the_first_offset_without_a_message(begin: int, offsets: list[int]) -> None:
    found = first_missing_offset(begin, offsets)
    assert found not in offsets
    assert found >= begin
    assert set(range(begin, found)) <= set(offsets)
