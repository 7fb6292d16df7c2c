# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The schemes of inputs and outputs and their options: what the text of each is read as, and its default.

Nothing heavy is imported here: `eventlogging-init` and `eventloggingctl` check hundreds of instance files with it.
"""

from __future__ import annotations

from elworkers.config.templates import template, topic_template
from elworkers.config.types import (
    boolean,
    file,
    folder,
    group,
    networks,
    not_in_text,
    offset_reset,
    only,
    pattern,
    seconds,
    statsd_prefix,
    whole,
    words,
    zookeeper,
)
from elworkers.config.uris import Option, Options
from elworkers.core.permissions import mode, unix_group

KAFKA_PORT = 9092
STATSD_PORT = 8125
EVENTS_PORT = 8421
WEBHDFS_PORT = 9870
HTTP_PORT = 8080
VARNISH_QUERY = (
    r'ReqURL ~ "^/(beacon/)?event(\.gif)?\?" and (ReqMethod eq "GET" or ReqMethod eq "POST") and RespStatus < 400'
)
"""varnishkafka's query for events, without preflights and what Varnish has refused."""

_RAW = Option(boolean, False, "move lines as they are, unparsed")
_PARTITIONS = Option(whole(1), None, "partitions of a topic that has to be created (default: the broker's)")
_REPLICATION = Option(whole(1), None, "replicas of a topic that has to be created (default: the broker's)")
_METADATA_AGE = Option(whole(1), 60_000, "how soon partitions that were added are noticed")
_BLACKLIST = Option(pattern, None, "events whose schema matches are left out")

READ_UNCOMMITTED = "read_uncommitted"
_TRANSACTIONS = Option(
    words("refuse", READ_UNCOMMITTED),
    "refuse",
    "read_uncommitted: read partitions with transactions, aborted and open messages too",
)

KAFKA_SOURCE: Options = {
    "topic": Option(str, None, "topic"),
    "topics": Option(str, None, "several, with commas between them, that one group reads"),
    "raw": _RAW,
    "blacklist": _BLACKLIST,
    "identity": Option(group, None, "consumer group"),
    "consumer_group": Option(group, None, "consumer group (pykafka's name for identity)"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "metadata_max_age_ms": _METADATA_AGE,
    "transactions": _TRANSACTIONS,
    "session_timeout_ms": Option(whole(1), 30_000, "the group gives this consumer's partitions away after this"),
    "zookeeper_connect": Option(
        zookeeper, None, "ZooKeeper servers that manage the group, instead of Kafka: HOST:PORT,…[/CHROOT]"
    ),
    "zookeeper_hosts": Option(zookeeper, None, "the same by its newer name"),
    "zookeeper_make_chroot": Option(boolean, True, "False: a chroot (HOST:PORT/PATH) that is missing is an error"),
    "zookeeper_connection_timeout_ms": Option(whole(0), 6_000, "longest wait for ZooKeeper"),
    "auto_commit_enable": Option(boolean, False, "commit at least every auto_commit_interval_ms, never unflushed"),
    "auto_commit_interval_ms": Option(whole(1), 60_000, "bounds a batch's age where auto_commit_enable is True"),
    "auto_offset_reset": Option(offset_reset, None, "where a group without offsets starts (default: earliest)"),
    "fetch_message_max_bytes": Option(
        whole(1), 1024 * 1024, "bytes of one partition in a fetch, unless one message is larger"
    ),
    "num_consumer_fetchers": Option(whole(1), 1, "fetch threads"),
    "queued_max_messages": Option(whole(1), 2_000, "messages held per partition ahead of use"),
    "fetch_min_bytes": Option(whole(1), 1, "bytes the broker waits for"),
    "fetch_error_backoff_ms": Option(whole(1), 500, "wait after a failed fetch (librdkafka only)"),
    "fetch_wait_max_ms": Option(whole(0), 500, "longest wait of the broker for fetch_min_bytes"),
    "offsets_channel_backoff_ms": Option(whole(1), 1_000, "wait before offsets are asked for again"),
    "offsets_commit_max_retries": Option(whole(0), 5, "tries of a commit"),
    "consumer_timeout_ms": Option(whole(-1), -1, "accepted; the loop has its own, finite waits"),
    "rebalance_max_retries": Option(whole(0), 5, "tries of a rebalance"),
    "rebalance_backoff_ms": Option(whole(1), 2_000, "wait between two tries of a rebalance"),
    "reset_offset_on_start": Option(boolean, False, "start at auto_offset_reset whatever was committed"),
    "reset_offset_on_fetch": Option(boolean, True, "accepted; offsets are always taken over when fetched"),
    "use_rdkafka": Option(boolean, False, "fetch with librdkafka (ZooKeeper groups, where the extension is built)"),
    "compacted_topic": Option(boolean, True, "offsets may have holes"),
    "heartbeat_interval_ms": Option(whole(1), 3_000, "time between heartbeats of a group managed by Kafka"),
    "membership_protocol": Option(words("range", "roundrobin"), "range", "how partitions are shared out"),
    "auto_start": Option(only(True, "a consumer that is not started reads nothing"), True, "accepted"),
    "zookeeper": Option(not_in_text, None, "no text"),
    "post_rebalance_callback": Option(not_in_text, None, "no text"),
    "deserializer": Option(not_in_text, None, "no text"),
}

KAFKA_TOPICS: Options = {
    "topics": Option(pattern, "eventlogging_.+", "the whole name of a topic that is imported"),
    "blacklist": Option(pattern, None, "the whole name of one that is not"),
    "fetch_message_max_bytes": Option(whole(1_000), 1024 * 1024, "bytes of one partition in one answer"),
    "transactions": _TRANSACTIONS,
}

KAFKA_SINK: Options = {
    "topic": Option(topic_template, None, "topic, a format string over the event"),
    "raw": _RAW,
    "key": Option(template, None, "message key, a format string over the event"),
    "producer": Option(
        words("simple", "keyed"), None, "of 2015; keyed: key={schema}_{revision} where there is none; simple: no key"
    ),
    "blacklist": _BLACKLIST,
    "async": Option(boolean, True, "False: wait for the acknowledgement of each message"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "compression": Option(words("none", "gzip", "snappy"), "none", "compression of message sets"),
    "required_acks": Option(words("1", "-1", "all"), "-1", "acknowledgement by the leader (1) or all replicas (-1)"),
    "ack_timeout_ms": Option(whole(1), 10_000, "longest wait of the broker for its replicas"),
    "metadata_max_age_ms": _METADATA_AGE,
    "max_request_size": Option(whole(1_000), 900_000, "bytes of one partition in one produce request"),
}

_FILE_SOURCE: Options = {
    "raw": _RAW,
    "follow": Option(boolean, False, "go on at the end of the file, and after it was rotated"),
    "max_line_bytes": Option(whole(1), 4 * 1024 * 1024, "what is longer is cut"),
}
_SQL: Options = {
    "charset": Option(str, "utf8mb4", "accepted; tables and connections are always utf8mb4"),
    "replace": Option(boolean, False, "pass over events that are stored already"),
    "batch_size": Option(whole(1), 3_000, "events in a batch"),
    "batch_seconds": Option(seconds, 300.0, "age of a batch"),
    "statsd_host": Option(str, None, "where the number of inserted rows is sent"),
    "statsd_port": Option(whole(1), STATSD_PORT, "its UDP port"),
    "statsd_prefix": Option(statsd_prefix, None, "what its names begin with (default: as --statsd-names says)"),
}

_HOST = Option(str, None, "what becomes recvFrom (default: the name of this host)")
_CLIENT_ADDRESS = Option(boolean, False, "write the client's address into the line; else it has a -")
LISTENERS: dict[str, Options] = {
    "http": {
        "host": _HOST,
        "client_address": _CLIENT_ADDRESS,
        "trusted_proxies": Option(
            networks, None, "proxies whose X-Forwarded-For or Forwarded is believed, as 127.0.0.1,10.0.0.0/8"
        ),
        "files": Option(folder, None, "a folder whose files are served beside eventlogging.js"),
        "max_url_bytes": Option(whole(100), 16_000, "bytes of a request line"),
        "max_body_bytes": Option(whole(100), 256 * 1024, "bytes of a POST; in its line an event may be thrice as long"),
        "max_events": Option(whole(1), 1_000, "events in a POST"),
        "max_connections": Option(whole(1), 1_000, "connections at a time; then the longest waiting one is closed"),
        "timeout_seconds": Option(seconds, 30.0, "for a body, and between two requests of a connection"),
    },
    "varnish": {
        "host": _HOST,
        "client_address": _CLIENT_ADDRESS,
        "query": Option(str, VARNISH_QUERY, "which requests are events (vsl-query(7))"),
        "program": Option(str, "varnishncsa", "path or name of varnishncsa"),
        "max_line_bytes": Option(whole(1_000), 64 * 1024, "what is longer is passed over"),
    },
}
"""Inputs that only a forwarder has."""

SOURCES: dict[str, Options] = {
    **LISTENERS,
    "kafka": KAFKA_SOURCE,
    "udp": {
        "raw": _RAW,
        "receive_buffer": Option(whole(1), 4 * 1024 * 1024, "bytes asked for as the socket's receive buffer"),
    },
    "stdin": {"raw": _RAW, "max_line_bytes": _FILE_SOURCE["max_line_bytes"]},
    "file": _FILE_SOURCE,
}
_RIGHTS: Options = {
    "mode": Option(mode, None, "of a file that is made, as 0644 (default: 0640, less what the umask forbids)"),
    "group": Option(unix_group, None, "of a file that is made"),
}
SINKS: dict[str, Options] = {
    "kafka": KAFKA_SINK,
    "udp": {"raw": _RAW},
    "stdout": {"raw": _RAW},
    "file": {"raw": _RAW, "fsync": Option(boolean, False, "let the disk confirm each batch"), **_RIGHTS},
    "mysql": {
        **_SQL,
        "local_infile": Option(boolean, True, "store rows with LOAD DATA LOCAL where the server allows it"),
        "ssl_ca": Option(
            file, None, "certificates that the server's is checked with; with any ssl option TLS is a must"
        ),
        "ssl_cert": Option(file, None, "certificate that is shown to the server"),
        "ssl_key": Option(file, None, "its key, where ssl_cert does not hold it; without a password"),
        "ssl_verify": Option(
            boolean, None, "whether the server's certificate and name are checked (default: they are)"
        ),
        "allow_cleartext": Option(
            boolean, False, "let a server that was checked have the password in clear, as for PAM"
        ),
        "server_public_key": Option(file, None, "the server's own key, that the password may be encrypted with"),
    },
    "sqlite": _SQL,
}

REJECTED = ".rejected"
"""What the name of a file of EventErrors ends with, behind that of the input that they are of."""

SQL_SCHEMES = ("mysql", "sqlite")
"""Outputs that store events in tables."""

_WEBHDFS: Options = {
    "user": Option(str, None, "who WebHDFS is told that asks; may stand before an @ as well"),
    "kerberos": Option(boolean, None, "log in by Kerberos (needs the package requests-kerberos)"),
    "use_https": Option(boolean, None, "WebHDFS over HTTPS"),
    "token": Option(str, None, "delegation token"),
}
STORES: dict[str, Options] = {"file": _RIGHTS, "hdfs": _WEBHDFS, "webhdfs": _WEBHDFS}
