# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names of topics → those that a worker imports, and their folders."""

from __future__ import annotations

import re

from elworkers.importer.topic_selection import TopicSelection, schema_of

WANTED, UNWANTED = re.compile("eventlogging_.+"), re.compile("eventlogging_(Test|Edit)")


def test_the_whole_name_has_to_match() -> None:
    selection = TopicSelection(WANTED, UNWANTED)
    names = [
        "eventlogging_Edit",
        "eventlogging_EditAttempt",
        "eventlogging_",
        "an_eventlogging_Edit",
        "eventlogging-valid-mixed",
    ]
    assert [name for name in names if selection.has(name)] == ["eventlogging_EditAttempt"]


def test_workers_share_topics_out_evenly() -> None:
    names = [f"eventlogging_Schema{number}" for number in range(300)]
    shares = [[name for name in names if TopicSelection(WANTED, None, worker, 4).has(name)] for worker in range(4)]
    assert sorted(name for share in shares for name in share) == sorted(names)
    assert all(50 < len(share) < 100 for share in shares)


def test_a_folder_is_named_by_the_schema() -> None:
    assert schema_of("eventlogging_Edit") == "Edit"
    assert schema_of("other") == "other"
