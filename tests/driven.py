# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Members of a group that read and commit by themselves, each in a thread or in a process of its own.

`python -m driven CLIENT BROKER TOPIC GROUP [OPTIONS [STATIC_ID]]` is one that prints each message that it has read.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Mapping

from elworkers.connectors.kafka.driver import Consumer, RawMessage
from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.registry import check_source
from elworkers.core.contracts import TopicPartition
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters


class Driven(threading.Thread):
    """Reads until it is stopped; commits what it has taken after each poll, and before partitions leave.

    As the loop does, it throws its consumer away after an error, and makes another.

    Attributes:
        taken: value of each message, in the order in which they came.
        errors: the text of each error.
        partitions: numbers of those that it holds.
        moves: how often it was given partitions, or had to give some away.
    """

    def __init__(
        self, client: str, broker: str, topic: str, group: str, options: str = "", static_id: str | None = None
    ) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._broker = broker
        self._group = group
        uri = f"kafka:///{broker}?topic={topic}&partitions=4&session_timeout_ms=6000{options}"
        self._options = check_source(uri).options
        self._static_id = static_id
        self._stopping = threading.Event()
        self._consumer: Consumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self.taken: list[bytes] = []
        self.errors: list[str] = []
        self.bugs: list[str] = []
        self.partitions: list[int] = []
        self.moves = 0

    def run(self) -> None:
        """Read until `stop`."""
        while not self._stopping.is_set():
            try:
                self._read()
            except RetryableError as error:
                self.errors.append(str(error))
                self._stopping.wait(0.2)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.bugs.append(repr(error))
                return
            finally:
                self._positions.clear()
                self.partitions = []
                consumer, self._consumer = self._consumer, None
                if consumer is not None:
                    consumer.close()

    def _read(self) -> None:
        kafka = driver([self._broker], self._client, self._options)
        consumer = self._consumer = kafka.consumer(
            [self._broker], self._options, self._group, self, Counters(), static_id=self._static_id
        )
        while not self._stopping.is_set():
            for partition, messages in consumer.poll(50, 0.1):
                self._took(partition, messages)
            self._commit()
            self.partitions = [one.partition for one in consumer.assigned()]

    def _took(self, partition: TopicPartition, messages: list[RawMessage]) -> None:
        self.taken += [message[3] or b"" for message in messages]
        self._positions[partition] = messages[-1][0] + 1

    def _commit(self) -> None:
        if self._positions and self._consumer is not None:
            self._consumer.commit(self._positions)
            self._positions.clear()

    def assigned(self, _: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """See `AssignmentListener`."""
        self.moves += 1
        return {}

    def revoked(self, partitions: Collection[TopicPartition], *, lost: bool) -> None:
        """See `AssignmentListener`."""
        self.moves += 1
        if lost:
            for partition in partitions:
                self._positions.pop(partition, None)
        else:
            self._commit()

    def offset_reset(self, partition: TopicPartition, wanted: int, earliest: int) -> None:
        """See `AssignmentListener`."""
        self.bugs.append(f"gap in {partition}: {wanted} to {earliest}")

    def stop(self) -> None:
        """Leave the group, once what was taken is committed."""
        self._stopping.set()
        self.join(60)
        assert not self.is_alive()
        assert self.bugs == []


class Printing(Driven):
    """Prints each message before it commits it."""

    def _took(self, partition: TopicPartition, messages: list[RawMessage]) -> None:
        for message in messages:
            sys.stdout.write(f"{(message[3] or b'').decode()}\n")
        sys.stdout.flush()
        super()._took(partition, messages)


if __name__ == "__main__":
    Printing(*sys.argv[1:]).run()
