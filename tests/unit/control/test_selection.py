# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Which instances the words of a command mean."""

from __future__ import annotations

import pytest

from elworkers.control.selection import select_titles
from elworkers.core.errors import ConfigurationError

TITLES = ["consumer/mysql", "processor/b", "forwarder/raw", "processor/a", "no_role/x"]
ALL = ("forwarder-raw", "processor-a", "processor-b", "consumer-mysql")


@pytest.mark.parametrize(
    ("words", "programs"),
    [
        ([], ALL),
        (["processor"], ("processor-a", "processor-b")),
        (["processors"], ("processor-a", "processor-b")),
        (["processor/"], ("processor-a", "processor-b")),
        (["processor/b"], ("processor-b",)),
        # In the order of roles, each once, however they are given.
        (["consumer/mysql", "processor/b", "processors", "forwarder"], ALL),
    ],
)
def test_words_mean_instances_in_the_order_of_roles(words: list[str], programs: tuple[str, ...]) -> None:
    assert select_titles(TITLES, words).programs == programs


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("processor/aa", "there is no instance processor/aa; did you mean processor/a?"),
        ("consumer/0000000000", "there is no instance consumer/0000000000; known: forwarder/raw, processor/a"),
        ("nothing", "nothing"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(word: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("?", r"\?")):
        select_titles(TITLES, [word])


def test_what_is_none_of_a_role_that_there_is_means_nothing() -> None:
    assert select_titles(TITLES, ["importers"]).programs == ()


def test_programs_are_told_apart_by_role() -> None:
    chosen = select_titles(TITLES, [])
    assert chosen.by_role() == [["forwarder-raw"], ["processor-a", "processor-b"], ["consumer-mysql"]]
    more = select_titles(TITLES, ["forwarder"]).including(["processor-gone", "forwarder-raw"])
    assert more.programs == ("forwarder-raw", "processor-gone")
