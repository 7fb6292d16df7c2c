# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a worker asks of Linux and of Python for itself."""

from __future__ import annotations

import gc

from elworkers.core.operating_system import collect_rarely


def test_garbage_in_cycles_is_looked_for_less_often_but_still_found() -> None:
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.isenabled()
        assert before[0] < gc.get_threshold()[0] <= 20_000
        assert gc.get_threshold()[1:] == before[1:]
    finally:
        gc.set_threshold(*before)
