# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A file that another writer has at the moment."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from elworkers.connectors.file.sink import FileSink
from elworkers.core.contracts import Record


@pytest.mark.timeout(20)
def test_a_sink_begins_beside_a_writer_that_hangs_and_cuts_its_torn_line_later(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\ntorn")
    other = os.open(path, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    sink = FileSink(path)
    assert path.read_bytes() == b"whole\ntorn"
    os.close(other)
    sink.write([Record(b"next")])
    sink.flush()
    sink.close()
    assert path.read_bytes() == b"whole\nnext\n"
