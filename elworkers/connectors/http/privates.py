# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the private names of aiohttp that this package uses, because there is no public way to do the same."""

from __future__ import annotations

PRIVATES = {
    "aiohttp.web_protocol.RequestHandler": {
        "_close": "the answer is the connection's last; `close` would end at once one that waits for a request",
        "_messages": "requests that were read and are not answered",
        "_request_count": "grows when the head of a request is whole, before the request is taken up",
        "_request_in_progress": "whether a request is being answered",
    },
}
"""Class → private name → why it is used; `tests/unit/test_privates.py` holds the program and the library to it."""
