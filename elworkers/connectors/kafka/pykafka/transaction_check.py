# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Has a consumer pause the partitions that transactional producers write to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elworkers.connectors.kafka.pykafka import transactions
from elworkers.connectors.kafka.pykafka.client import translate_errors


class TransactionCheck:
    """Remembers up to which position each partition of a topic was without transactions.

    Args:
        cluster: of `client.connect`.
        topic: its name.
    """

    def __init__(self, cluster: Any, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._checked: dict[int, int] = {}

    def check(self, fetcher: Any, positions: Mapping[int, int]) -> None:
        """Pause partitions of a fetcher that have transactions, and go on with the others.

        Args:
            positions: where the loop is; a partition that it has taken nothing of is where the fetcher began.

        Raises:
            RetryableError: Kafka does not answer.
        """
        if fetcher.reads_uncommitted:
            return
        leaders = {(self._topic, number): one.leader for number, one in fetcher.partitions.items() if one.leader}
        with translate_errors(f"ask for the transactions of topic {self._topic}"):
            found = transactions.with_transactions(self._cluster, leaders)
        for partition, start in fetcher.positions().items():
            position = positions.get(partition, start)
            if (self._topic, partition) in found:
                fetcher.pause(partition, position, transactions.EXPLANATION)
            else:
                self._checked[partition] = position
                fetcher.unpause(partition)

    def unchecked(self, partition: int, position: int) -> int:
        """Return how many offsets before a position came after the last check."""
        return position - self._checked.get(partition, position)
