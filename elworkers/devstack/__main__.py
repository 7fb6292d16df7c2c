# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Starts `eventlogging-devstack`, or says which extra is missing."""

from __future__ import annotations

import sys

from elworkers.core import extras


def main() -> int:
    """Run `eventlogging-devstack`."""
    return extras.run("dev", "eventlogging-devstack", "elworkers.devstack.cli")


if __name__ == "__main__":
    sys.exit(main())
