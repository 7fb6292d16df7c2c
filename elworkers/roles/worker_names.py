# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names workers towards Kafka, where a successor has to be known as such."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path


def worker_name(role: str, instance: str, worker: int, run_dir: Path | None) -> str:
    """Return `<role>-<instance>-<worker>@<host>/<run folder, as 8 hex digits>`.

    The same after each start; of no other worker, not even of one with the same names on another host or of another
    run folder.

    Args:
        run_dir: None: there is none, and the name ends with the host.
    """
    folder = f"/{hashlib.blake2b(str(run_dir).encode(), digest_size=4).hexdigest()}" if run_dir is not None else ""
    return f"{role}-{instance}-{worker}@{socket.gethostname()}{folder}"
