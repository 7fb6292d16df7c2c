# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lists the options of `kafka:` URIs, as an input's and as an output's."""

from __future__ import annotations

from elworkers.config.kafka_clients import CONNECTION
from elworkers.config.options import RAW, TRANSACTIONS
from elworkers.config.templates import template, topic_template
from elworkers.config.types import (
    boolean,
    choice,
    constant,
    group,
    integer,
    offset_reset,
    pattern,
    unsupported,
    zookeeper,
)
from elworkers.config.uris import Option, Options

_PARTITIONS = Option(integer(1), None, "partitions of a topic that is created (default: the broker's)")
_REPLICATION = Option(integer(1), None, "replicas of a topic that is created (default: the broker's)")
_METADATA_AGE = Option(integer(1), 60_000, "longest time until new partitions are noticed, in ms")
_BLACKLIST = Option(pattern, None, "regular expression; events whose schema name matches are left out")

_PYTHON_ONLY = "cannot be set in a URI: its value is a Python object"

SOURCE_OPTIONS: Options = {
    "topic": Option(str, None, "topic to read"),
    "topics": Option(str, None, "topics to read, separated by commas"),
    "raw": RAW,
    "blacklist": _BLACKLIST,
    "identity": Option(group, None, "consumer group"),
    "consumer_group": Option(group, None, "consumer group (pykafka's name for identity)"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "metadata_max_age_ms": _METADATA_AGE,
    "transactions": TRANSACTIONS,
    "session_timeout_ms": Option(
        integer(1),
        30_000,
        "time without a heartbeat after which the group gives this consumer's partitions to others, in ms",
    ),
    "zookeeper_connect": Option(
        zookeeper, None, "ZooKeeper servers that manage the group, instead of Kafka: HOST:PORT,…[/CHROOT]"
    ),
    "zookeeper_hosts": Option(zookeeper, None, "same as zookeeper_connect (pykafka's newer name)"),
    "zookeeper_make_chroot": Option(
        boolean, True, "create the chroot (HOST:PORT/PATH) if it is missing; False: stop with an error"
    ),
    "zookeeper_connection_timeout_ms": Option(integer(0), 6_000, "longest wait for a connection to ZooKeeper, in ms"),
    "auto_commit_enable": Option(
        boolean, False, "commit at least every auto_commit_interval_ms; only what is stored is committed"
    ),
    "auto_commit_interval_ms": Option(
        integer(1), 60_000, "longest age of a batch in ms, if auto_commit_enable is True"
    ),
    "auto_offset_reset": Option(
        offset_reset, None, "where a group without committed offsets starts: earliest or latest (default: earliest)"
    ),
    "fetch_message_max_bytes": Option(
        integer(1),
        1024 * 1024,
        "largest number of bytes fetched from one partition at once; a single larger message is read too",
    ),
    "num_consumer_fetchers": Option(integer(1), 1, "number of fetch threads"),
    "queued_max_messages": Option(integer(1), 2_000, "messages per partition that are fetched ahead"),
    "fetch_min_bytes": Option(integer(1), 1, "number of bytes that the broker waits for before it answers a fetch"),
    "fetch_error_backoff_ms": Option(integer(1), 500, "wait after a failed fetch, in ms (librdkafka only)"),
    "fetch_wait_max_ms": Option(integer(0), 500, "longest time that the broker waits for fetch_min_bytes, in ms"),
    "offsets_channel_backoff_ms": Option(integer(1), 1_000, "wait before offsets are requested again, in ms"),
    "offsets_commit_max_retries": Option(integer(0), 5, "how often a commit is tried"),
    "consumer_timeout_ms": Option(integer(-1), -1, "accepted without effect; the program has time limits of its own"),
    "rebalance_max_retries": Option(integer(0), 5, "how often a rebalance is tried"),
    "rebalance_backoff_ms": Option(integer(1), 2_000, "wait between two tries of a rebalance, in ms"),
    "reset_offset_on_start": Option(boolean, False, "start at auto_offset_reset and ignore committed offsets"),
    "reset_offset_on_fetch": Option(boolean, True, "accepted without effect; committed offsets are always used"),
    "use_rdkafka": Option(
        boolean, False, "fetch with librdkafka (only groups in ZooKeeper, only if pykafka was built with it)"
    ),
    "compacted_topic": Option(boolean, True, "accept gaps between offsets, as in compacted topics"),
    "heartbeat_interval_ms": Option(integer(1), 3_000, "time between heartbeats to a group that Kafka manages, in ms"),
    "membership_protocol": Option(
        choice("range", "roundrobin"), "range", "how the group distributes partitions: range or roundrobin"
    ),
    "auto_start": Option(
        constant(True, "a consumer that is not started reads nothing"), True, "accepted for compatibility; must be True"
    ),
    "client_rack": Option(
        str,
        None,
        "where this worker is, as the brokers' broker.rack: reads from a replica there (confluent-kafka only)",
    ),
    "static_membership": Option(
        boolean,
        False,
        "a worker that is back within the group's session timeout finds its partitions as it left them, and until then"
        " nobody reads them (confluent-kafka only)",
    ),
    "zookeeper": Option(unsupported, None, _PYTHON_ONLY),
    "post_rebalance_callback": Option(unsupported, None, _PYTHON_ONLY),
    "deserializer": Option(unsupported, None, _PYTHON_ONLY),
    **CONNECTION,
}

SINK_OPTIONS: Options = {
    "topic": Option(topic_template, None, "topic to write to; may name fields of the event, as eventlogging_{schema}"),
    "raw": RAW,
    "key": Option(template, None, "message key; may name fields of the event, as {schema}"),
    "producer": Option(
        choice("simple", "keyed"),
        None,
        "keyed: key is {schema}_{revision} unless key= is given; simple: no key (files of 2015)",
    ),
    "blacklist": _BLACKLIST,
    "async": Option(boolean, True, "send the next messages before the previous ones are acknowledged"),
    "partitions": _PARTITIONS,
    "replication": _REPLICATION,
    "compression": Option(
        choice("none", "gzip", "snappy", "lz4", "zstd"),
        "none",
        "compression of messages: none, gzip or snappy; also lz4 or zstd (confluent driver)",
    ),
    "required_acks": Option(
        choice("1", "-1", "all"), "-1", "who acknowledges a write: the leader (1) or all replicas (-1, all)"
    ),
    "ack_timeout_ms": Option(integer(1), 10_000, "longest time that the broker waits for its replicas, in ms"),
    "metadata_max_age_ms": _METADATA_AGE,
    "max_request_size": Option(integer(1_000), 900_000, "largest number of bytes sent to one partition at once"),
    "exactly_once": Option(
        boolean,
        False,
        "write each batch and commit its offsets in one transaction, with all other outputs of the instance",
    ),
    **CONNECTION,
}
