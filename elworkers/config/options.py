# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Options of URIs that several connectors have, those of an importer's URIs, and default ports.

What only one connector has stands in its own `connector.py`.
"""

from __future__ import annotations

from elworkers.config.types import boolean, pattern, whole, words
from elworkers.config.uris import Option, Options
from elworkers.core.permissions import mode, unix_group

KAFKA_PORT = 9092
STATSD_PORT = 8125
EVENTS_PORT = 8421
WEBHDFS_PORT = 9870
HTTP_PORT = 8080

RAW = Option(boolean, False, "move lines as they are, unparsed")
HOST = Option(str, None, "what becomes recvFrom (default: the name of this host)")
CLIENT_ADDRESS = Option(boolean, False, "write the client's address into the line; else it has a -")
MAX_LINE_BYTES = Option(whole(1), 4 * 1024 * 1024, "what is longer is cut")
RIGHTS: Options = {
    "mode": Option(mode, None, "of a file that is made, as 0644 (default: 0640, less what the umask forbids)"),
    "group": Option(unix_group, None, "of a file that is made"),
}

READ_UNCOMMITTED = "read_uncommitted"
TRANSACTIONS = Option(
    words("refuse", READ_UNCOMMITTED),
    "refuse",
    "read_uncommitted: read partitions with transactions, aborted and open messages too",
)

KAFKA_TOPICS: Options = {
    "topics": Option(pattern, "eventlogging_.+", "the whole name of a topic that is imported"),
    "blacklist": Option(pattern, None, "the whole name of one that is not"),
    "fetch_message_max_bytes": Option(whole(1_000), 1024 * 1024, "bytes of one partition in one answer"),
    "transactions": TRANSACTIONS,
}

REJECTED = ".rejected"
"""What the name of a file of EventErrors ends with, behind that of the input that they are of."""

_WEBHDFS: Options = {
    "user": Option(str, None, "who WebHDFS is told that asks; may stand before an @ as well"),
    "kerberos": Option(boolean, None, "log in by Kerberos (needs the package requests-kerberos)"),
    "use_https": Option(boolean, None, "WebHDFS over HTTPS"),
    "token": Option(str, None, "delegation token"),
}
STORES: dict[str, Options] = {"file": RIGHTS, "hdfs": _WEBHDFS, "webhdfs": _WEBHDFS}
