# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Runtime: a pipeline in, a worker that stays alive out; knows no event field."""

from __future__ import annotations

import sys

if "rich" not in sys.modules and not sys.stderr.isatty():
    # structlog imports rich where it is installed, for stack traces on a terminal. Where there is none, each parent and
    # worker would only start later and hold 5 MiB more for it.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
