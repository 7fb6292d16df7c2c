# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What one worker has taken of a Varnish, and the next passes over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elworkers.connectors.varnish import handled_requests
from elworkers.connectors.varnish.handled_requests import HandledRequests


def left(path: Path, instance: str, *numbers: bytes) -> None:
    """By this process."""
    made = HandledRequests(path, instance)
    for number in numbers:
        made.add(number)
    made.save()


def test_the_next_knows_what_was_taken_before(tmp_path: Path) -> None:
    left(tmp_path / "seen", "/a name", b"1", b"32770")
    found = HandledRequests(tmp_path / "seen", "/a name")
    assert b"1" not in found
    assert found.load(os.getpid())
    assert [number in found for number in (b"1", b"32770", b"3", b"")] == [True, True, False, False]
    # What it takes itself it leaves in its turn, and nothing of those before.
    found.add(b"3")
    assert b"3" not in found
    found.save()
    found.forget_before()
    assert b"1" not in found
    assert found.load(os.getpid())
    assert [number in found for number in (b"1", b"3")] == [False, True]


def test_the_numbers_of_another_varnish_mean_nothing(tmp_path: Path) -> None:
    left(tmp_path / "seen", "/one", b"1")
    found = HandledRequests(tmp_path / "seen", "/two")
    assert found.load(os.getpid())
    assert b"1" not in found


@pytest.mark.parametrize("content", [None, b"", b"\xff\0", b"1 /one\n7", b"\n\n"])
def test_what_another_process_has_left_or_nobody_is_not_believed(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "seen").write_bytes(content)
    found = HandledRequests(tmp_path / "seen", "/one")
    assert not found.load(os.getpid())
    assert b"7" not in found


def test_only_the_last_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handled_requests, "_MOST", 2)
    left(tmp_path / "seen", "/one", b"1", b"2", b"3")
    found = HandledRequests(tmp_path / "seen", "/one")
    assert found.load(os.getpid())
    assert [number in found for number in (b"1", b"2", b"3")] == [False, True, True]


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    left(tmp_path / "no such folder" / "seen", "/one", b"1")
    assert "what the next worker is to pass over cannot be left" in "".join(capfd.readouterr())
