# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Talks to Kafka by pykafka; the only place that knows pykafka's inside."""

import sys
import warnings
from types import ModuleType

from packaging.version import parse

# An operator can do nothing about the warning.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)


def _import_pykafka() -> None:
    """Import pykafka with a stand-in for pkg_resources, of which it wants one function: that saves 6 MiB a worker."""
    if "pkg_resources" in sys.modules:
        return
    stand_in = ModuleType("pkg_resources")
    stand_in.parse_version = parse  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = stand_in
    try:
        import pykafka  # noqa: F401
    finally:
        del sys.modules["pkg_resources"]


_import_pykafka()
