# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the private names of supervisor that this package uses, because there is no public way to do the same."""

from __future__ import annotations

PRIVATES = {
    "supervisor.xmlrpc.SupervisorTransport": {
        "_get_connection": "makes its connections; ours have one deadline for the whole of an answer",
    },
}
"""Class → private name → why it is used; `tests/unit/test_privates.py` holds the program and the library to it."""
