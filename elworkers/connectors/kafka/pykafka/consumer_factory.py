# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes a member of a consumer group from the options of an input; it joins later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elworkers.config.options import READ_UNCOMMITTED
from elworkers.connectors.kafka.pykafka import balanced_consumers
from elworkers.connectors.kafka.pykafka.consumer_positions import EARLIEST
from elworkers.core.errors import ConfigurationError

_FORWARDED_OPTIONS = (
    "fetch_message_max_bytes",
    "num_consumer_fetchers",
    "queued_max_messages",
    "fetch_min_bytes",
    "fetch_wait_max_ms",
    "offsets_channel_backoff_ms",
    "offsets_commit_max_retries",
    "auto_offset_reset",
    "rebalance_max_retries",
    "rebalance_backoff_ms",
    "reset_offset_on_start",
    "compacted_topic",
)
"""Options that go to pykafka's BalancedConsumer as they are."""


def create_consumer(cluster: Any, topic: Any, options: Mapping[str, Any], group_name: str) -> Any:
    """Return a member of a group that Kafka manages, or ZooKeeper where the options name its servers.

    Args:
        cluster: of `client.connect`.
        topic: of `topic_creation.get_or_create`.
        options: of a `kafka:` URI as an input, typed.
        group_name: the consumer group.
    """
    arguments = {name: options[name] for name in _FORWARDED_OPTIONS}
    arguments |= {
        "auto_start": False,
        "auto_commit_enable": False,
        "consumer_timeout_ms": 100,
        "membership_protocol": balanced_consumers.protocol(options["membership_protocol"]),
    }
    if arguments["auto_offset_reset"] is None:
        arguments["auto_offset_reset"] = EARLIEST
    zookeeper = options["zookeeper_connect"] or options["zookeeper_hosts"]
    if zookeeper:
        consumer: Any = balanced_consumers.ZooKeeperGroup(
            topic,
            cluster,
            group_name,
            zookeeper_connect=zookeeper,
            zookeeper_connection_timeout_ms=options["zookeeper_connection_timeout_ms"],
            use_rdkafka=options["use_rdkafka"],
            **arguments,
        )
        consumer.make_chroot = options["zookeeper_make_chroot"]
    else:
        consumer = balanced_consumers.ManagedGroup(
            topic,
            cluster,
            group_name,
            heartbeat_interval_ms=min(options["heartbeat_interval_ms"], options["session_timeout_ms"] // 3),
            **arguments,
        )
        consumer.session_timeout_ms = options["session_timeout_ms"]
    consumer.newly_assigned = set()
    consumer.reads_uncommitted = options["transactions"] == READ_UNCOMMITTED
    return consumer


def check_rdkafka(options: Mapping[str, Any]) -> None:
    """Check that `use_rdkafka` is possible.

    Raises:
        ConfigurationError: says why, and the way out.
    """
    if not options["use_rdkafka"]:
        return
    try:
        import pykafka.rdkafka  # noqa: F401 - only whether it is there
    except ImportError:
        raise ConfigurationError(
            "kafka URI: option use_rdkafka=True; pykafka's librdkafka extension is not built here; leave the option"
            " out, or build it: RDKAFKA_INSTALL=system pip install --no-binary pykafka pykafka (needs librdkafka-dev)"
        ) from None
