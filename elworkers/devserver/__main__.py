# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Starts `eventlogging-devserver`, or says which extra is missing."""

from __future__ import annotations

import sys

from elworkers.core import extras


def main() -> int:
    """Run `eventlogging-devserver`."""
    return extras.run("dev", "eventlogging-devserver", "elworkers.devserver.cli")


if __name__ == "__main__":
    sys.exit(main())
