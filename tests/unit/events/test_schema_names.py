# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names of schemas, and their aliases."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.events.schema_names import LONGEST, is_canonical, is_title_of


@pytest.mark.parametrize("name", ["Edit", "a/b", "a.b", "...", ".a", "a..", "a/..b", "analytics/legacy/x-1", "a" * 63])
def test_names(name: str) -> None:
    assert is_canonical(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/.", "a/..", "a/./b", "a/../b", "./a", "a//b", "a//", "/a", "a/", "a/.\n", "a\n", "a b", "é"],
)
def test_what_is_no_name(name: str) -> None:
    assert not is_canonical(name)


@pytest.mark.parametrize("name", ["a" * 64, None, 1, ["a"]])
def test_what_is_no_text_or_too_long(name: object) -> None:
    assert not is_canonical(name)


@given(st.text("aB_.-/", max_size=LONGEST + 2) | st.text(max_size=4))
def test_a_name_is_the_only_path_of_its_file(name: str) -> None:
    usual = name.isascii() and all(one.isalnum() or one in "_.-/" for one in name)
    path = posixpath.normpath(f"/{name}").lstrip("/")
    assert is_canonical(name) == (usual and 1 <= len(name) <= LONGEST and path == name)


@pytest.mark.parametrize(
    ("title", "name", "same"),
    [
        ("Schema:Edit", "Edit", True),
        ("Edit", "Edit", True),
        ("Schema:Page edit x", "Page_edit_x", True),
        ("Schema:Edit", "edit", False),
        ("Schema:Schema:Edit", "Edit", False),
        ("EditSchema:", "Edit", False),
        ("schema:Edit", "Edit", False),
        ("Schema:Page edit", "Pageedit", False),
        (None, "Edit", False),
        (1, "1", False),
        (["Edit"], "Edit", False),
    ],
)
def test_titles_of_pages(title: object, name: str, same: bool) -> None:
    assert is_title_of(title, name) is same
