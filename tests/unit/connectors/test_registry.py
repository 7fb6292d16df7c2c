# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Connectors by their schemes: what checking a URI costs, and what is known of each."""

from __future__ import annotations

import subprocess
import sys

URIS = {
    "input": (
        "kafka:///k:1?topic=t",
        "udp://h:1",
        "stdin:",
        "file:///f",
        "http://h:1/beacon/event",
        "varnish:///frontend",
    ),
    "output": ("kafka:///k:1?topic=t", "udp://h:1", "stdout:", "file:///f", "mysql://u@h/d", "sqlite:///f"),
}
_HEAVY = ("aiohttp", "importlib.metadata", "pykafka", "pymysql", "sqlalchemy", "structlog", "fsspec", "asyncio")


def test_checking_a_uri_of_any_scheme_imports_nothing_heavy() -> None:
    code = f"""
import sys
from elworkers.connectors.registry import bundled, check_sink, check_source
checked = [check_source(text) for text in {URIS["input"]}] + [check_sink(text) for text in {URIS["output"]}]
assert {{one.uri.scheme for one in checked}} == set(bundled())
print(*(set({_HEAVY}) & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
