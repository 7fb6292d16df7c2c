# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the private names of fsspec that this package uses, because there is no public way to do the same."""

from __future__ import annotations

PRIVATES = {
    "fsspec.implementations.webhdfs.WebHDFS": {
        "_call": "asks WebHDFS for what fsspec does otherwise: a file in one request, and whether it was renamed",
        "_apply_proxy": "the address of a DataNode as the options of the file system want it",
    },
}
"""Class → private name → why it is used; `tests/unit/test_privates.py` holds the program and the library to it."""
