# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Options of URIs that several connectors have, those of an importer's URIs, and default ports.

What only one connector has stands in its own `connector.py`.
"""

from __future__ import annotations

from elworkers.config.types import boolean, choice, integer, pattern
from elworkers.config.uris import Option, Options
from elworkers.core.permissions import mode, unix_group

KAFKA_PORT = 9092
STATSD_PORT = 8125
EVENTS_PORT = 8421
HTTP_PORT = 8080

RAW = Option(boolean, False, "pass lines on unchanged, without parsing them")
HOST = Option(str, None, "value of recvFrom in each line (default: the name of this host)")
CLIENT_ADDRESS = Option(boolean, False, "write the client's address into each line (False: write - instead)")
MAX_LINE_BYTES = Option(integer(1), 4 * 1024 * 1024, "longest line in bytes; longer lines are cut")
RIGHTS: Options = {
    "mode": Option(mode, None, "permissions of new files, as 0644 (default: 0640, limited by the umask)"),
    "group": Option(unix_group, None, "group of new files"),
}

READ_UNCOMMITTED = "read_uncommitted"
TRANSACTIONS = Option(
    choice("refuse", READ_UNCOMMITTED),
    "refuse",
    "refuse: do not read partitions that hold transactions; read_uncommitted: read them, also aborted messages",
)

KAFKA_TOPICS: Options = {
    "topics": Option(pattern, "eventlogging_.+", "regular expression; topics whose whole name matches are imported"),
    "blacklist": Option(pattern, None, "regular expression; topics whose whole name matches are not imported"),
    "fetch_message_max_bytes": Option(
        integer(1_000), 1024 * 1024, "largest number of bytes fetched from one partition at once"
    ),
    "transactions": TRANSACTIONS,
}

ERROR_TOPIC = "eventlogging_EventError"
"""The topic of EventErrors where `--output-invalid` names no other, and of records that outputs reject."""

REJECTED = ".rejected"
"""What the name of a file of EventErrors ends with, behind that of the input that they are of."""
