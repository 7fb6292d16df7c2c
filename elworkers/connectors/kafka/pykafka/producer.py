# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Produces records to many topics, and waits until the brokers have acknowledged all of them.

pykafka's Producer has a thread for each broker and topic, and those threads die with a broker without a word about
the messages they held. This one uses pykafka's connections without that class: it sends whole message sets itself and
waits for the answer, so that a message is stored exactly when the broker has said so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from elworkers.config.topic_plan import TopicPlan
from elworkers.connectors.kafka.batching_producer import BatchingProducer
from elworkers.connectors.kafka.driver import ProducerSettings
from elworkers.connectors.kafka.leaderless import LeaderlessPartitions
from elworkers.connectors.kafka.pykafka import client
from elworkers.connectors.kafka.pykafka.batches import RecordBatch
from elworkers.connectors.kafka.pykafka.message_sets import message_set
from elworkers.connectors.kafka.pykafka.output_topics import OutputTopics, UnavailableTopic
from elworkers.connectors.kafka.pykafka.produce_requests import ProduceRequests
from elworkers.connectors.kafka.pykafka.rejections import refusals, refusals_of_unled
from elworkers.connectors.kafka.pykafka.topic_owners import TopicOwners
from elworkers.connectors.kafka.records_by_topic import RecordsByTopic, topic_of
from elworkers.core.contracts import Deliveries, Metrics, OwnTopic, Record, RejectedRecord
from elworkers.core.last_resort import LastResort, good_record


class Producer(BatchingProducer):
    """Produces to any number of topics; implements `driver.Producer`.

    Sinks of the same brokers share one: a batch is then one request a leader.

    Args:
        hosts: the brokers, each `host:port`.
        settings: how messages are produced.
        metrics: is told of topics that are set aside, and counts `records_repeated`.
        delivered: what was acknowledged of a batch that is written again.
        used: the operator's topics that this process has written to.
        has_schema: whether a schema of a name is known to exist.
        unled: what is known of partitions without a leader.
        plan: how topics have to be made; None: as `settings` says.

    Raises:
        RetryableError: no broker answers.
        ConfigurationError: the broker is too new.
    """

    def __init__(  # noqa: PLR0913 - what all producers of a process share
        self,
        hosts: Sequence[str],
        settings: ProducerSettings,
        *,
        metrics: Metrics | None = None,
        delivered: Deliveries | None = None,
        used: set[str] | None = None,
        has_schema: Callable[[str], bool] = lambda _: False,
        unled: LeaderlessPartitions | None = None,
        plan: TopicPlan | None = None,
    ) -> None:
        super().__init__(hosts, metrics, delivered)
        self._settings = settings
        self._cluster = client.connect(hosts)
        self._unled = unled or LeaderlessPartitions(metrics)
        self._placing = OutputTopics(
            self._cluster,
            plan or TopicPlan(None, hosts, (settings.partitions, settings.replication)),
            settings.metadata_max_age_ms,
            metrics,
            set() if used is None else used,
            self._unled,
        )
        self._owners = TopicOwners(self._cluster, hosts, settings.replication, settings.ack_timeout_ms, has_schema)
        self._aside: set[str] = set()
        self._encoding = LastResort("encode", lambda: message_set([good_record()], [], 1, settings.compression))

    def _produce(self, plain: RecordsByTopic, made: RecordsByTopic, last: bool) -> None:
        settings = self._settings
        sending = ProduceRequests(settings.acks, settings.ack_timeout_ms, settings.compression, self._encoding)
        operators = plain.names()
        named_by_events = [name for name in made.names() if name not in operators]
        unplaced = self._placing.find(operators, named_by_events)
        sending.unled += self._keep_apart(made, set(named_by_events))
        unlisted = self._leave_out(unplaced, (plain, made), sending)
        sending.send(self._sets((plain, made)))
        self._refused += sending.spoiled
        self._refused += refusals(sending, unlisted, named_by_events, self._placing)
        self._refused += refusals_of_unled(sending, named_by_events, self._unled)
        self._tell(sending)
        if self._delivered is not None and (sending.outage or not last):
            self._remember(self._delivered, sending)
        if sending.outage:
            raise sending.outage

    def _keep_apart(self, made: RecordsByTopic, named_by_events: set[str]) -> Iterator[RecordBatch]:
        """Give each topic that schemas want for themselves the records of the one that has it; refuse the others'.

        What cannot be decided for want of a leader is given back.
        """
        found, undecided = self._placing.found, defaultdict[str, list[OwnTopic]](list)
        wanted = made.own()
        for name in wanted:
            if name.topic in named_by_events and name.topic in found and found[name.topic].owner is None:
                undecided[name.topic].append(name)
        if undecided:
            for topic, owner in self._owners.of(undecided).items():
                found[topic].owner = owner
        for name in wanted:
            # What cannot be placed, or is a topic that the operator wrote, has no owner.
            owned_by = found[name.topic].owner if name.topic in found else None
            if owned_by is None and name.topic in undecided:
                yield found[name.topic].unled_set(made.pop(name))
            elif owned_by is None or owned_by == name.schema:
                made.give(name)
            else:
                why = f"schema {name.schema} has no topic of its own: {name.topic} is that of schema {owned_by}"
                self._refused += [RejectedRecord(record, why) for record in made.pop(name)]

    def _leave_out(
        self, unplaced: UnavailableTopic, taken: Sequence[RecordsByTopic], sending: ProduceRequests
    ) -> list[tuple[str, list[Record], int]]:
        """Take out what cannot be sent; what is refused with a code that is on no list is given back."""
        unlisted = []
        for some in taken:
            for name, why in unplaced.refused.items():
                self._refused += [RejectedRecord(record, why) for record in some.pop(name)]
            for name, why in unplaced.missing.items():
                some.pop(name)
                sending.fails(why)
            unlisted += [(name, some.pop(name), code) for name, code in unplaced.unlisted.items()]
        return [one for one in unlisted if one[1]]

    def _sets(self, taken: Iterable[RecordsByTopic]) -> Iterator[RecordBatch]:
        found, most = self._placing.found, self._settings.max_set_bytes
        for some in taken:
            for name, records in some.plain.items():
                topic = found[topic_of(name)]
                if topic.without_key:
                    self._refused += [RejectedRecord(record, topic.without_key) for record in records]
                else:
                    yield from topic.sets(records, most)
            for name, keyed in some.keyed.items():
                yield from found[topic_of(name)].keyed_sets(keyed, most)

    def _tell(self, sending: ProduceRequests) -> None:
        """Say which topics take nothing without a key, and which do again."""
        for name in sending.takes_none_without_key():
            why = f"the topic {name} takes no message without a key, as with cleanup.policy=compact"
            self._placing.found[name].without_key = why
            self._aside.add(name)
            if self._metrics is not None:
                self._metrics.set_aside(f"topic {name}", why)
        if self._aside:
            for name in {one.place.topic for one in sending.acked if not one.keys} & self._aside:
                self._aside.discard(name)
                if self._metrics is not None:
                    self._metrics.resumed(f"topic {name}")

    def _remember(self, delivered: Deliveries, sending: ProduceRequests) -> None:
        for one in sending.acked:
            delivered.add(self._place(one.place.topic), one.records)
        for one in sending.unsure:
            delivered.add(self._place(one.place.topic), one.records, acknowledged=False)

    def close(self) -> None:
        """Forget what was not flushed, and the connections."""
        self._nothing_taken()
        self._placing.found.clear()
        self._owners.close()
