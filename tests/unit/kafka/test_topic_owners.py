# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which schema is to have a topic that nobody has claimed."""

from __future__ import annotations

import pytest

from elworkers.connectors.kafka.topic_owners import choose_owner
from elworkers.core.contracts import OwnTopic


def wanting(*schemas: str) -> list[OwnTopic]:
    return [OwnTopic("t.a_b_c", schema, schema.replace("/", "_")) for schema in schemas]


@pytest.mark.parametrize(
    ("schemas", "first", "known", "chosen"),
    [
        (["a/b/c"], None, [], "a/b/c"),
        (["a/b_c", "a/b/c"], None, [], "a/b_c"),
        (["a/b/c", "a_b_c"], None, [], "a_b_c"),
        (["a/b/c"], None, ["a_b_c"], "a_b_c"),
        (["a/b/c"], None, ["a/b_c", "a/b/c"], "a/b/c"),
        # What is there already goes before all else.
        (["a/b/c", "a_b_c"], "a/b_c", ["a_b_c"], "a/b_c"),
        # Somebody else's.
        (["a/b/c"], "", [], "a_b_c"),
        (["a_b_c"], "", [], "a_b_c"),
    ],
)
def test_candidates(schemas: list[str], first: str | None, known: list[str], chosen: str) -> None:
    assert choose_owner(wanting(*schemas), first, known.__contains__) == chosen
