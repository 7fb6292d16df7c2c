# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What of librdkafka a URI sets for a producer, and what it does not."""

from __future__ import annotations

import pytest

from elworkers.connectors.kafka.confluent.confluent_driver import ConfluentDriver
from elworkers.connectors.kafka.confluent.delivery_client import producer_settings
from elworkers.connectors.kafka.sink import settings
from elworkers.connectors.registry import check_sink
from elworkers.core.errors import ConfigurationError

URI = "kafka-confluent:///127.0.0.1:1?topic=t"


def test_a_uri_counts_before_what_is_only_tuned() -> None:
    plain = check_sink(URI).options
    tuned = check_sink(f"{URI}&rdkafka.queue.buffering.max.kbytes=999&rdkafka.linger.ms=50").options
    before, after = producer_settings(plain, settings(plain)), producer_settings(tuned, settings(tuned))
    assert before["queue.buffering.max.kbytes"] == 16_384
    assert after == {**before, "queue.buffering.max.kbytes": "999", "linger.ms": "50"}


def test_what_contradicts_our_own_settings_is_said_in_a_sentence() -> None:
    options = check_sink(f"{URI}&rdkafka.max.in.flight=50").options
    with pytest.raises(ConfigurationError, match=r"librdkafka refuses a setting: .*max\.in\.flight"):
        ConfluentDriver(options).producer(["127.0.0.1:1"], settings(options))
