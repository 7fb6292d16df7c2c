# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A request to stop, and the pipe on which it is waited for."""

from __future__ import annotations

import subprocess
import sys

from elworkers.core.stop import Stop

# In a process of its own: threads of earlier tests' clients open and close pipes meanwhile.
PIPE = """
import os
from pathlib import Path
from elworkers.core.stop import Stop

def pipes():
    found = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    return {one for one in found if one.startswith("pipe:")}

before = pipes()
stop = Stop()
(own,) = pipes() - before
child = os.fork()
if child == 0:
    del stop
    os._exit(own not in pipes())
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert own in pipes()
del stop
assert own not in pipes()
"""


def test_a_request_ends_the_wait() -> None:
    stop = Stop()
    assert not stop.wait(0)
    stop.request()
    stop.request()
    assert stop.wait(3600)


def test_its_pipe_goes_with_it_and_a_childs_files_stay() -> None:
    assert subprocess.run([sys.executable, "-c", PIPE], check=False).returncode == 0
