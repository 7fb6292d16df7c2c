# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Produces records to many topics, and waits until the brokers have acknowledged all of them, whatever client sends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.batch_sender import BatchSender
from elworkers.connectors.kafka.batches import RecordBatch
from elworkers.connectors.kafka.batching_producer import BatchingProducer
from elworkers.connectors.kafka.driver import Reader
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.output_topics import OutputTopics, UnusableTopics
from elworkers.connectors.kafka.producer_protocol import ProducerContext, ProducerSettings
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic, topic_of
from elworkers.connectors.kafka.rejections import leaderless_rejections, rejections
from elworkers.connectors.kafka.topic_client import TopicClient
from elworkers.connectors.kafka.topic_owners import TopicOwners
from elworkers.core.contracts import OwnTopic, Record, RejectedRecord
from elworkers.core.deliveries import Deliveries


class TopicsProducer(BatchingProducer):
    """Produces to any number of topics; implements `producer_protocol.Producer`.

    Sinks of the same brokers share one: a batch is then one request a leader.

    Args:
        hosts: the brokers, each `host:port`.
        settings: how messages are produced.
        topics: looks topics up.
        reader: see `topic_owners.TopicOwners`.
        sender: makes what sends the record batches of a flush.
        claim_sender: makes what sends claims; see `topic_owners.TopicOwners`.
        context: see `driver.Driver.producer`.
    """

    def __init__(  # noqa: PLR0913 - what a client brings along
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        context: ProducerContext | None = None,
        *,
        topics: TopicClient,
        reader: Callable[[int], Reader],
        sender: Callable[[], BatchSender],
        claim_sender: Callable[[], BatchSender],
    ) -> None:
        context = context or ProducerContext()
        super().__init__(hosts, context)
        self._settings = settings
        self._new_sender = sender
        self._leaderless = context.leaderless or LeaderlessPartitions(context.metrics)
        self._topics = OutputTopics(
            topics,
            context.plan or TopicPlan(None, hosts, (settings.partitions, settings.replication)),
            context.metrics,
            context.known_topics,
            self._leaderless,
        )
        self._owners = TopicOwners(topics, reader, claim_sender, settings.replication, context.has_schema)
        self._keyless_aside: set[str] = set()

    def _send_records(self, configured: RecordsByTopic, derived: RecordsByTopic, last: bool) -> None:
        sender = self._new_sender()
        configured_names = configured.names()
        derived_names = [name for name in derived.names() if name not in configured_names]
        unusable = self._topics.prepare(configured_names, derived_names)
        sender.leaderless += self._resolve_owners(derived, set(derived_names))
        unclassified = self._remove_unusable(unusable, (configured, derived), sender)
        sender.send(self._batches((configured, derived)))
        self._rejected += sender.unencodable
        self._rejected += rejections(sender, unclassified, derived_names, self._topics)
        self._rejected += leaderless_rejections(sender, derived_names, self._leaderless)
        self._report_keyless(sender)
        if self._delivered is not None and (sender.outage or not last):
            self._remember_deliveries(self._delivered, sender)
        if sender.outage:
            raise sender.outage

    def _resolve_owners(self, derived: RecordsByTopic, derived_names: set[str]) -> Iterator[RecordBatch]:
        """Keep, for each topic that schemas want for themselves, the owner's records; reject the others'.

        What cannot be decided for want of a leader is given back.
        """
        found, undecided = self._topics.found, defaultdict[str, list[OwnTopic]](list)
        wanted = derived.own_topics()
        for name in wanted:
            if name.topic in derived_names and name.topic in found and found[name.topic].owner is None:
                undecided[name.topic].append(name)
        if undecided:
            for topic, owner in self._owners.owners_of(undecided).items():
                found[topic].owner = owner
        for name in wanted:
            # What cannot be placed, or is a topic that the operator wrote, has no owner.
            owned_by = found[name.topic].owner if name.topic in found else None
            if owned_by is None and name.topic in undecided:
                yield found[name.topic].leaderless_batch(derived.pop(name))
            elif owned_by is None or owned_by == name.schema:
                derived.merge(name)
            else:
                why = f"schema {name.schema} has no topic of its own: {name.topic} is that of schema {owned_by}"
                self._rejected += [RejectedRecord(record, why) for record in derived.pop(name)]

    def _remove_unusable(
        self, unusable: UnusableTopics, taken: Sequence[RecordsByTopic], sender: BatchSender
    ) -> list[tuple[str, list[Record], int]]:
        """Take out records that cannot be sent; returns those whose topic was rejected with an unlisted code."""
        unclassified = []
        for some in taken:
            for name, why in unusable.rejected.items():
                self._rejected += [RejectedRecord(record, why) for record in some.pop(name)]
            for name, error in unusable.unavailable.items():
                some.pop(name)
                sender.fail(str(error), type(error))
            unclassified += [(name, some.pop(name), code) for name, code in unusable.unclassified.items()]
        return [one for one in unclassified if one[1]]

    def _batches(self, taken: Iterable[RecordsByTopic]) -> Iterator[RecordBatch]:
        found, max_bytes = self._topics.found, self._settings.max_set_bytes
        for some in taken:
            for name, records in some.unkeyed.items():
                topic = found[topic_of(name)]
                if topic.keyless_rejection:
                    self._rejected += [RejectedRecord(record, topic.keyless_rejection) for record in records]
                else:
                    yield from topic.batches(records, max_bytes)
            for name, keyed in some.keyed.items():
                yield from found[topic_of(name)].keyed_batches(keyed, max_bytes)

    def _report_keyless(self, sender: BatchSender) -> None:
        """Report which topics accept nothing without a key, and which do again."""
        for name in sender.keyless_rejected():
            why = f"the topic {name} takes no message without a key, as with cleanup.policy=compact"
            self._topics.found[name].keyless_rejection = why
            self._keyless_aside.add(name)
            if self._metrics is not None:
                self._metrics.set_aside(f"topic {name}", why)
        if self._keyless_aside:
            for name in {one.partition.topic for one in sender.acked if not one.keys} & self._keyless_aside:
                self._keyless_aside.discard(name)
                if self._metrics is not None:
                    self._metrics.resumed(f"topic {name}")

    def _remember_deliveries(self, delivered: Deliveries, sender: BatchSender) -> None:
        for one in sender.acked:
            delivered.add(self._store_name(one.partition.topic), one.records)
        for one in sender.uncertain:
            delivered.add(self._store_name(one.partition.topic), one.records, acknowledged=False)

    def close(self) -> None:
        """Forget what was not flushed, and the connections."""
        self._clear()
        self._topics.found.clear()
        self._owners.close()
