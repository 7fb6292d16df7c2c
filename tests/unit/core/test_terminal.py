# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a terminal obeys, and what it does not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.core.terminal import Bytes, printable


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left_and_all_else_is(text: str) -> None:
    shown = printable(text, keep="\n")
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    if text.isprintable():
        assert shown == text


@given(st.dictionaries(st.text(), st.text()))
def test_json_keeps_its_meaning(value: dict[str, str]) -> None:
    assert json.loads(printable(json.dumps(value, ensure_ascii=False, indent=1), keep="\n")) == value


@pytest.mark.parametrize(
    "sign", ["\0", "\x1b", "\x7f", "\x85", "\x9b", "\u061c", "\u200f", "\u2028", "\u202e", "\u2069"]
)
def test_each_kind_is_escaped(sign: str) -> None:
    assert printable(f"a{sign}b") == f"a\\u{ord(sign):04x}b"


@given(st.binary(), st.integers(1, 5))
def test_a_stream_reads_the_same_however_it_is_cut(data: bytes, size: int) -> None:
    whole, cut = Bytes(), Bytes()
    pieces = "".join(cut.text(data[at : at + size]) for at in range(0, len(data), size))
    assert pieces == whole.text(data)
    assert all(sign.isprintable() or sign in "\n\t" for sign in pieces)


def test_a_roles_log_on_a_terminal_is_harmless_and_its_trace_too() -> None:
    program = r"""
from elworkers.core import log
log.configure(role="forwarder")
import structlog
structlog.get_logger().warning("said \x1b]0;title\x07", reason="\x9b31m \u202e", named={"\x9b": "\u2066"})
raise ValueError("\x1b]0;title\x07 \u202e")
"""
    boss, terminal = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stderr=terminal, check=False, timeout=60)
    os.close(terminal)
    said = b""
    while True:
        try:
            said += os.read(boss, 65536)
        except OSError:
            break
    os.close(boss)
    assert b"]0;title" in said
    assert not {"\x1b]", "\x07", "\x9b", "\u202e", "\u2066"} & set(said.decode()), said
    assert "\x1b]" not in said.decode()
