# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""One partition that cannot be read stands still and says why; the others go on, and so does it when it can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import brokeradmin
import modern
import pytest
from waiting import wait_for

from elworkers.connectors.kafka.source import KafkaSource
from elworkers.connectors.registry import check_source
from elworkers.core.metrics import Counters

Unique = Callable[[str], str]
DEADLINE_S = 60.0
Open = Callable[..., KafkaSource]


@pytest.fixture
def metrics() -> Counters:
    return Counters()


@pytest.fixture
def source_of(kafka: str, unique: Unique, metrics: Counters) -> Iterator[Open]:
    made: list[KafkaSource] = []

    def open_source(topic: str, options: str = "", begin: str = "earliest") -> KafkaSource:
        text = f"kafka:///{kafka}?topic={topic}&session_timeout_ms=6000&auto_offset_reset={begin}{options}"
        made.append(KafkaSource([kafka], check_source(text).options, unique("group"), metrics))
        return made[-1]

    yield open_source
    for source in made:
        source.close()


def read(source: KafkaSource, count: int) -> list[bytes]:
    found: list[bytes] = []
    wait_for(
        lambda: found.extend(one.value for one in source.poll(1000, 0.2)) or len(found) >= count,
        DEADLINE_S,
        f"{count} records",
    )
    return found


@pytest.mark.parametrize("fetchers", [1, 4])
def test_zstd_in_one_partition_holds_up_no_other(
    kafka: str, unique: Unique, source_of: Open, metrics: Counters, fetchers: int
) -> None:
    topic = unique("zstd")
    modern.create(kafka, topic, 4)
    modern.produce(kafka, topic, [b"x" * 1000] * 20, 0, "zstd")
    plain = [f"{partition}-{number}".encode() for partition in (1, 2, 3) for number in range(50)]
    for value in plain:
        modern.produce(kafka, topic, [value], int(value[:1]))
    source = source_of(topic, f"&num_consumer_fetchers={fetchers}")
    assert sorted(read(source, len(plain))) == sorted(plain)
    wait_for(lambda: source.poll(100, 0.1) or f"topic {topic}[0]" in metrics.aside, DEADLINE_S, "the word on it")
    assert "zstd" in metrics.aside[f"topic {topic}[0]"]
    assert len(metrics.aside) == 1
    # Whoever is in charge deletes what cannot be read, and the partition goes on behind it.
    modern.produce(kafka, topic, [b"behind"], 0)
    brokeradmin.delete_records(kafka, topic, 0, 20)
    assert read(source, 1) == [b"behind"]
    assert not metrics.aside


def test_a_broker_that_does_not_convert_is_asked_again(
    kafka: str, unique: Unique, source_of: Open, metrics: Counters
) -> None:
    topic = unique("old")
    modern.create(kafka, topic, 1, message_downconversion_enable="false")
    modern.produce(kafka, topic, [b"a", b"b"])
    source = source_of(topic)
    wait_for(lambda: source.poll(100, 0.1) or metrics.aside, DEADLINE_S, "the word on it")
    assert "message.downconversion.enable" in metrics.aside[f"topic {topic}[0]"]
    modern.alter(kafka, topic, "message.downconversion.enable", "true")
    assert read(source, 2) == [b"a", b"b"]
    assert not metrics.aside


def test_a_group_that_begins_at_the_latest_says_what_it_passes_over(
    kafka: str, unique: Unique, source_of: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = unique("latest")
    modern.create(kafka, topic, 2)
    modern.produce(kafka, topic, [b"a", b"b"], 0)
    modern.produce(kafka, topic, [b"c"], 1)
    source_of(topic)
    assert "passed over" not in capsys.readouterr().out, "at the earliest"
    source_of(topic, begin="latest")
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "passed over" in line]
    assert "messages=3" in said
