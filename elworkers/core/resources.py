# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds files that stand beside the package, in a checkout and where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path


def resource_path(path: str) -> Path:
    """Return the file in the checkout, else the one that pyproject.toml's data-files install."""
    in_checkout = Path(__file__).parents[2] / path
    return in_checkout if in_checkout.exists() else Path(sys.prefix) / "share" / "elworkers" / path
