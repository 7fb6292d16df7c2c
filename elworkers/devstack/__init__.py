# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Development stack: names of parts in, running servers out."""

from elworkers.devstack.stack import Stack

__all__ = ["Stack"]
