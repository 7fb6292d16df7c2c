# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Decides which Kafka client is used; nothing else does."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elworkers.connectors.kafka.driver import Driver
    from elworkers.connectors.kafka.memory.broker import MemoryBroker
    from elworkers.connectors.kafka.transactional import TransactionalDriver


def driver() -> Driver:
    """Return this process's driver; its client is imported only here, because that takes time and starts threads."""
    from elworkers.connectors.kafka.pykafka.pykafka_driver import PykafkaDriver

    return PykafkaDriver()


def in_memory(broker: MemoryBroker) -> TransactionalDriver:
    """Return a driver whose Kafka is in this process."""
    from elworkers.connectors.kafka.memory.memory_driver import MemoryDriver

    return MemoryDriver(broker)


def client_id(role: str, instance: str, worker: int) -> str:
    """Return what a worker calls itself towards the brokers: `elworkers-<role>-<instance>-<worker>@<host>`.

    The same after each start, so that a quota can name it.
    """
    return f"elworkers-{role}-{instance}-{worker}@{socket.gethostname()}"
