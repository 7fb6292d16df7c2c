# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The private names of pykafka that this package uses, and why: there is no public way to do the same.

The Kafka source uses some of them, too.
"""

from __future__ import annotations

PRIVATES = {
    "pykafka.balancedconsumer.BalancedConsumer": {
        "_add_partitions": "replaced: claims partitions in nodes that pykafka's own members on any Python can read",
        "_remove_partitions": "replaced, as `_add_partitions`",
        "_get_held_partitions": "replaced, as `_add_partitions`",
        "_get_participants": "wrapped: warns where there are more members than partitions",
        "_add_self": "a step of `start`, which is replaced so that a failure raises",
        "_set_watches": "a step of `start`",
        "_setup_zookeeper": "a step of `start`",
        "_running": "set by `start`; pykafka's threads end where it is false",
        "_zookeeper": "its connection to ZooKeeper; there is to be one for each member",
        "_zookeeper_connect": "where a chroot that is missing is made, before pykafka connects",
        "_zookeeper_connection_timeout_ms": "how long ZooKeeper may take for that",
        "_rebalance": "wrapped: the loop flushes and commits before partitions move",
        "_rebalancing_lock": "held while messages are taken or committed, so that no rebalance comes in between",
        "_raise_worker_exceptions": "raises in the loop's thread what has failed in one of pykafka's",
        "_consumer": "the inner consumer, which has the messages; a rebalance makes another",
        "_get_internal_consumer": "replaced: the inner consumer is a Fetcher, which goes on where the loop is",
        "_use_rdkafka": "whether the inner consumer is to be librdkafka's",
        "_consumer_group": "the group's name, for the inner consumer and for what is logged",
        "_consumer_id": "the member's name, for the inner consumer's commits and for what it claims",
        "_generation_id": "the group's generation, for the inner consumer's commits",
        "_cluster": "the connection that the inner consumer shares",
        "_auto_offset_reset": "an option of this consumer, handed on to the inner one",
        "_consumer_timeout_ms": "an option, handed on",
        "_fetch_message_max_bytes": "an option, handed on",
        "_fetch_min_bytes": "an option, handed on",
        "_fetch_wait_max_ms": "an option, handed on",
        "_is_compacted_topic": "an option, handed on",
        "_num_consumer_fetchers": "an option, handed on",
        "_offsets_channel_backoff_ms": "an option, handed on",
        "_offsets_commit_max_retries": "an option, handed on",
        "_queued_max_messages": "an option, handed on",
        "_reset_offset_on_start": "an option; only the first inner consumer gets it",
    },
    "pykafka.managedbalancedconsumer.ManagedBalancedConsumer": {
        "_connection_id": "which of the connections to the coordinator is this member's",
        "_group_coordinator": "the broker that is asked to join",
        "_handle_error": "what a refusal to join is answered with",
        "_join_group": "replaced: the session timeout can be chosen",
        "_membership_protocol": "shares out the partitions of each topic of the group",
        "_setup_heartbeat_worker": "a step of `start`, which is replaced so that a failure raises",
        "_setup_internal_consumer": "puts another inner consumer in place when partitions have moved",
        "_sync_group": "a step of joining, between asking to join and being given partitions",
        "_update_member_assignment": "replaced: members that read different topics may share a group",
    },
    "pykafka.simpleconsumer.SimpleConsumer": {
        "_auto_offset_reset": "where a partition begins that has no offset",
        "_build_default_error_handlers": "wrapped: an offset out of range goes to the earliest, and is counted",
        "_default_error_handlers": "what is done for each error of a partition",
        "_cluster": "sleeps between attempts as pykafka does",
        "_consumer_group": "the group's name, for commits",
        "_discover_group_coordinator": "finds the coordinator anew when a commit was refused",
        "_group_coordinator": "the broker that takes commits",
        "_fetch_min_bytes": "an option that requests for messages carry",
        "_fetch_wait_max_ms": "an option that requests for messages carry",
        "_messages_arrived": "librdkafka's consumer has messages; waiting for it costs nothing",
        "_offsets_channel_backoff_ms": "how long it waits between attempts",
        "_offsets_commit_max_retries": "how often it tries to commit",
        "_offsets_fetch_max_retries": "how often it asks for what is committed",
        "_partitions_by_id": "position and lock of each partition",
        "_partitions_by_leader": "which partitions a broker is asked for",
        "_setup_partitions_by_leader": "replaced: puts the whole table in place at once, as another thread reads it",
        "_queued_max_messages": "bounds what waits in memory",
        "_raise_worker_exceptions": "raises in the loop's thread what has failed in one of pykafka's",
        "_running": "false when it is being stopped, so that what fails then is no failure",
        "_slot_available": "has it fetch more after its queues were emptied from outside",
        "_update": "finds leaders anew",
    },
    "pykafka.simpleconsumer.OwnedPartition": {
        "_messages": "a queue that can be emptied without waiting for each message",
    },
    "pykafka.cluster.Cluster": {
        "_api_versions": "which requests the brokers know, asked once by pykafka",
        "_brokers": "the brokers, to which those are added that cannot be reached",
        "_get_metadata": "wrapped: asks over the connections that there are; and asked for every topic at once",
        "_update_brokers": "tells the cluster which brokers an answer names, without looking every topic up again",
    },
    "pykafka.broker.Broker": {
        "_get_unique_req_handler": "the connection to the coordinator that is this member's own",
        "_handler": "the kind of threads that a connection of ours for fetches is made with",
        "_socket_timeout_ms": "how long that connection waits for an answer",
    },
    "pykafka.connection.BrokerConnection": {
        "_socket": "tells whether the broker has closed a connection that was idle",
    },
    "pykafka.protocol.base.Request": {
        "_write_header": "writes the header of a request that pykafka does not know",
    },
}
"""Class → private name → why it is used; `tests/unit/test_privates.py` holds the program and the library to it."""
