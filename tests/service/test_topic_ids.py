"""Topics that are deleted and made again, on a real broker."""

from __future__ import annotations

from collections.abc import Callable

import brokeradmin
from waiting import wait_for

from elworkers.kafka import client, topics

Unique = Callable[[str], str]
DEADLINE_S = 30.0


def test_a_topic_that_is_made_again_has_another_id(kafka: str, unique: Unique) -> None:
    cluster = client.connect([kafka])
    one, other = unique("topic"), unique("topic")
    topics.create_missing(cluster, [one, other], 3, 1)
    first = wait_for(
        lambda: len(found := topics.ids(cluster, [one, other, "absent"])) == 2 and found, DEADLINE_S, "ids"
    )
    assert set(first) == {one, other}
    assert all(len(bytes.fromhex(found)) == 16 for found in first.values())
    brokeradmin.delete_topic(kafka, one)
    wait_for(lambda: set(topics.ids(cluster, [one, other])) == {other}, DEADLINE_S, "the topic is gone")
    brokeradmin.create_topics(kafka, [one], 3)
    again = wait_for(lambda: len(found := topics.ids(cluster, [one, other])) == 2 and found, DEADLINE_S, "ids")
    assert again[other] == first[other]
    assert again[one] != first[one]


def test_a_broker_without_ids_tells_none(kafka: str, unique: Unique) -> None:
    cluster = client.connect([kafka])
    topic = unique("topic")
    topics.ensure(cluster, topic)
    # As a broker before Kafka 2.8 says it.
    cluster._api_versions[3] = cluster._api_versions[3]._replace(max=9)
    assert topics.ids(cluster, [topic]) == {}
