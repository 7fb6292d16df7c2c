# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Translates the options of an input, which are pykafka's, to what librdkafka has for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog

from elworkers.config.options import READ_UNCOMMITTED
from elworkers.connectors.kafka.uri_options import SOURCE_OPTIONS

MAX_POLL_INTERVAL_MS = 3_600_000
"""Longest time between two polls of a member, in ms.

Longer than any flush: a worker that does nothing at all is replaced by its parent long before (`--worker-timeout`), and
then the group hears no heartbeats either.
"""

MAPPED: Mapping[str, str] = MappingProxyType(
    {
        "fetch_message_max_bytes": "max.partition.fetch.bytes",
        "fetch_min_bytes": "fetch.min.bytes",
        "fetch_wait_max_ms": "fetch.wait.max.ms",
        "fetch_error_backoff_ms": "fetch.error.backoff.ms",
        "queued_max_messages": "queued.min.messages",
        "metadata_max_age_ms": "topic.metadata.refresh.interval.ms",
        "client_rack": "client.rack",
    }
)
"""Option of an input → librdkafka's name of the same."""

CLASSIC_ONLY: Mapping[str, str] = MappingProxyType(
    {"session_timeout_ms": "session.timeout.ms", "heartbeat_interval_ms": "heartbeat.interval.ms"}
)
"""Options that mean something only where the members of a group share out its partitions.

Since Kafka 4.0 the broker does (KIP-848), and says how often it wants to hear of them.
"""

OWN: Mapping[str, str] = MappingProxyType(
    {
        "auto_offset_reset": "read by the driver itself",
        "reset_offset_on_start": "read by the driver itself",
        "transactions": "`read_uncommitted` is `isolation.level`; otherwise committed records are read",
        "static_membership": "each worker's name is `group.instance.id`",
        "auto_commit_enable": "read by the worker's loop",
        "auto_commit_interval_ms": "read by the worker's loop",
    }
)
"""Options that have their effect without librdkafka, and where."""

WITHOUT_MEANING: Mapping[str, str] = MappingProxyType(
    {
        "num_consumer_fetchers": "librdkafka fetches from each broker in a thread of its own",
        "offsets_channel_backoff_ms": "librdkafka chooses its own waits",
        "offsets_commit_max_retries": "a commit is tried until the coordinator answers",
        "rebalance_max_retries": "a rebalance goes on until it is done",
        "rebalance_backoff_ms": "librdkafka chooses its own waits",
        "use_rdkafka": "it is librdkafka already",
        "compacted_topic": "gaps between offsets are always accepted",
        "membership_protocol": "partitions are shared out by the broker, or cooperatively",
        "zookeeper_connection_timeout_ms": "nothing connects to ZooKeeper",
        "zookeeper_make_chroot": "nothing connects to ZooKeeper",
    }
)
"""Options that have no effect with this driver, and why."""

ZOOKEEPER = ("zookeeper_connect", "zookeeper_hosts")
"""Options that name ZooKeeper servers: they have no effect, and that is said in a line of its own."""

log = structlog.get_logger(__name__)

_said: set[tuple[str, str]] = set()
"""Group and topic of which this process has said what has no effect."""


def consumer_settings(
    options: Mapping[str, Any], group: str, max_poll_interval_ms: int, *, classic: bool
) -> dict[str, Any]:
    """Return librdkafka's settings of a member.

    Args:
        options: of a `kafka:` URI as an input, typed.
        group: the consumer group.
        max_poll_interval_ms: longest time between two polls.
        classic: the members share out partitions, as before Kafka 4.0.
    """
    found = {name: options[option] for option, name in MAPPED.items() if options.get(option) is not None}
    if classic:
        session_ms: int = options["session_timeout_ms"]
        found |= {
            "group.protocol": "classic",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(1, min(options["heartbeat_interval_ms"], session_ms // 3)),
        }
    else:
        found["group.protocol"] = "consumer"
    uncommitted = options["transactions"] == READ_UNCOMMITTED
    return {
        **found,
        "group.id": group,
        "max.poll.interval.ms": max(max_poll_interval_ms, options["session_timeout_ms"]),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Every partition begins where we say; what is gone there is an error that we hear of.
        "auto.offset.reset": "error",
        "isolation.level": "read_uncommitted" if uncommitted else "read_committed",
        # Says how far a partition is whose last offsets are markers of transactions.
        "enable.partition.eof": True,
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": 4096,
        "queued.min.messages": max(1, min(10_000_000, options["queued_max_messages"])),
        "fetch.max.bytes": max(4 * 1024 * 1024, options["fetch_message_max_bytes"]),
    }


def say_what_has_no_effect(options: Mapping[str, Any], group: str) -> None:
    """Log, once for each group and topic, the options that are set and do nothing.

    Args:
        options: of a `kafka:` URI as an input, typed.
        group: the consumer group.
    """
    topic: str = options["topic"]
    if (group, topic) in _said:
        return
    _said.add((group, topic))
    without = {
        option: why
        for option, why in WITHOUT_MEANING.items()
        if option in options and options[option] != SOURCE_OPTIONS[option].default
    }
    if without:
        log.info(
            "options of the input have no effect with confluent-kafka",
            code="kafka_options_without_effect",
            group=group,
            topic=topic,
            options=without,
        )
    if any(options.get(option) for option in ZOOKEEPER):
        log.warning(
            "confluent-kafka's groups are Kafka's: members that ZooKeeper knows of are not seen, committed offsets are",
            code="kafka_group_not_in_zookeeper",
            group=group,
            topic=topic,
        )
