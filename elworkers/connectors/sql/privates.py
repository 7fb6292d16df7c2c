# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the private names of PyMySQL that this package uses, because there is no public way to do the same."""

from __future__ import annotations

PRIVATES = {
    "pymysql.connections.Connection": {
        "_auth_plugin_name": "which way to log in the server offers; PyMySQL would send a password at once for some",
        "_secure": "replaced: whether a password may be sent as it is, which PyMySQL answers too readily",
        "_request_authentication": "wrapped: refuses before anything of a password is sent",
        "_process_auth": "wrapped: refuses ways to log in that give the password away",
        "_execute_command": "sends a statement without waiting for its answer",
        "_read_query_result": "reads that answer later",
        "_result": "how often the server warned; cursors do not tell",
        "_read_packet": "reads the one request for local data that is granted",
        "_force_close": "closes at once, without a word to a server that asks for files",
    },
}
"""Class → private name → why it is used; `tests/unit/test_privates.py` holds the program and the library to it."""
