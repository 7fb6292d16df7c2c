# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Imports structlog without rich, which it takes for tracebacks where that is installed: 5 MiB of each process.

It has no effect unless this module is imported before structlog. rich itself can be imported as ever.
"""

from __future__ import annotations

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # An import of what is None there fails as if it were not installed (importlib's documentation).
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401 - it stays imported
    finally:
        del sys.modules["rich"]
