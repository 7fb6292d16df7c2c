# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import fcntl
import os
import resource

from elworkers.core.polling import readable


def test_descriptors_beyond_those_of_select_are_waited_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    reads, writes = os.pipe()
    high = fcntl.fcntl(reads, fcntl.F_DUPFD, 2000)
    try:
        assert readable([high], 0) == []
        os.write(writes, b"x")
        assert readable([high, reads], 10) == [high, reads]
        assert os.read(high, 1) == b"x"
        os.close(writes)
        # An end is something to read, too.
        assert readable([high], 10) == [high]
    finally:
        os.close(high)
        os.close(reads)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
