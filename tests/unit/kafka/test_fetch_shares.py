# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What is asked for of each partition, also while a quota lets little through."""

from __future__ import annotations

from elworkers.connectors.kafka.pykafka.fetch_shares import FetchShares

MOST = 1024 * 1024


def test_partitions_take_turns_while_a_quota_lets_little_through() -> None:
    shares, asked = FetchShares(MOST), []
    for _ in range(6):
        share = shares.allocate([1, 2, 3], throttled=True)
        shares.record_fetch(share)
        asked += share.items()
    assert asked == [(partition, 64 * 1024) for partition in (1, 2, 3, 1, 2, 3)]
    assert set(shares.allocate([1, 2, 3], throttled=False)) == {1, 2, 3}


def test_an_answer_without_anything_makes_no_share_grow() -> None:
    shares = FetchShares(MOST)
    shares.record_fetch(shares.allocate([1], throttled=True))
    assert not shares.grow(1)
    for _ in range(3):
        # Asked, and answered without anything: not told.
        assert shares.allocate([1], throttled=True) == {1: 256 * 1024}
    shares.record_fetch({1: 256 * 1024})
    assert shares.grow(1)
    assert shares.allocate([1], throttled=True) == {1: MOST}
    shares.reset(1)
    assert shares.allocate([1], throttled=True) == {1: 64 * 1024}
