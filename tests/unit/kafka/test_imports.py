# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a worker does not hold in memory."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import elworkers.connectors.kafka.source, elworkers.connectors.kafka.sink, elworkers.stages.process
from elworkers.connectors.kafka.drivers import driver
from elworkers.schema.store import SchemaStore
driver()
SchemaStore(["https://schemas.example.org/w/api.php"])
from pykafka.cluster import parse_version
assert parse_version("0.10.0") < parse_version("1.0.0") and parse_version("0.9.0") < parse_version("0.10.0")
print(*({"pkg_resources", "requests"} & sys.modules.keys()))
"""


def test_a_worker_imports_neither_pkg_resources_nor_an_http_client_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
