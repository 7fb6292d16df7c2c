# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""How topics have to be made, as all instance files say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.config.topic_plan import FILE, TopicPlan, TopicSettings, WantedSettings, text

NOBODY = (None, None)


def plan(folder: Path, *wanted: WantedSettings, own: tuple[int | None, int | None] = NOBODY) -> TopicPlan:
    (folder / FILE).write_text(text(wanted), encoding="utf-8")
    return TopicPlan(folder, ["k1:9092", "k2:9092"], own)


def test_the_largest_of_all_files_counts(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        WantedSettings(("k2:9092",), "raw", 4, None, "forwarder/a"),
        WantedSettings(("k1:9092",), "raw", 2, 3, "forwarder/b"),
        WantedSettings(("k1:9092",), "raw", None, None, "processor/c"),
        WantedSettings(("other:9092",), "raw", 64, 64, "forwarder/elsewhere"),
    ).of(["raw", "new"])
    assert found == {
        "raw": TopicSettings(4, 3, ("forwarder/a", "forwarder/b")),
        "new": TopicSettings(where=("this instance",) * 2),
    }


def test_what_the_process_was_told_counts_too(tmp_path: Path) -> None:
    said = WantedSettings(("k1:9092",), "raw", 4, 2, "forwarder/a")
    assert plan(tmp_path, said, own=(8, 1)).of(["raw"])["raw"] == TopicSettings(8, 2, ("this instance", "forwarder/a"))


@pytest.mark.parametrize(
    ("template", "topic", "meant"),
    [
        ("eventlogging_{schema}", "eventlogging_Edit", True),
        ("eventlogging_{schema}", "eventlogging_", False),
        ("eventlogging_{schema}", "other_Edit", False),
        ("{wiki}.{schema}", "enwiki.Edit", True),
        ("a.b_{schema}", "axb_Edit", False),
        ("raw", "rawer", False),
    ],
)
def test_a_template_means_the_topics_that_it_can_make(tmp_path: Path, template: str, topic: str, meant: bool) -> None:
    said = WantedSettings(("k1:9092",), template, 4, None, "processor/a")
    assert (plan(tmp_path, said).of([topic])[topic].partitions == 4) is meant


@pytest.mark.parametrize("content", [None, b"", b"[", b"{}", b"[1]", b'[{"hosts": 1}]', b"\xff"])
def test_a_file_that_says_nothing_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    assert TopicPlan(tmp_path, ["k1:9092"], (2, None)).of(["raw"])["raw"].partitions == 2
    assert TopicPlan(None, ["k1:9092"], (2, None)).of(["raw"])["raw"].partitions == 2


def test_what_differs_is_said_with_who_wants_it() -> None:
    how = TopicSettings(4, 3, ("forwarder/a", "forwarder/b"))
    assert how.differs(4, 3) == TopicSettings().differs(1, 1) == ""
    assert how.differs(1, 3) == "it has 1 partition, and forwarder/a says partitions=4"
    assert how.differs(8, 1) == (
        "it has 8 partitions, and forwarder/a says partitions=4; it has 1 replica, and forwarder/b says replication=3"
    )
