# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""`eventlogging-devstack`: says which extra is missing, or runs `cli`."""

from __future__ import annotations

import sys

from elworkers.core import extras


def main() -> int:
    """`eventlogging-devstack`."""
    return extras.run("dev", "eventlogging-devstack", "elworkers.devstack.cli")


if __name__ == "__main__":
    sys.exit(main())
