# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines how long a pipeline's records hold their events."""

from __future__ import annotations

from enum import Enum

_CHUNK_RECORDS = 250


class EventRetention(Enum):
    """How long the records of a pipeline hold their events, and what follows from that.

    ================  ==============================  ==================================  =============================
    mode              a record holds                  records go through the stages       chosen for
    ================  ==============================  ==================================  =============================
    `ROUTING_FIELDS`  `schema` and `revision` alone   as they were polled, in batches of  a processor without functions
                                                      20,000 that go on while outputs     whose outputs need no other
                                                      want more                           field
    `UNTIL_WRITTEN`   its event, until every output   250 at a time, in batches of 4,000  any other processor
                      has taken the record
    `UNTIL_FLUSHED`   its event, until every output   250 at a time, in batches of 4,000  every other role: a database
                      has stored the record                                               converts events at a flush
    ================  ==============================  ==================================  =============================

    Of few records at a time, events stay in the processor's cache until they are written. The command line and outputs
    may have other sizes of batches.

    Records of a source that is not replayable are written again after a failure: they hold what they have until they
    are flushed, and go through the stages as they were polled.
    """

    ROUTING_FIELDS = "routing fields"
    UNTIL_WRITTEN = "until written"
    UNTIL_FLUSHED = "until flushed"

    @property
    def keeps_events(self) -> bool:
        """Whether stages hand on whole events."""
        return self is not EventRetention.ROUTING_FIELDS

    @property
    def drops_written(self) -> bool:
        """Whether events are dropped as soon as every output has taken their records."""
        return self is not EventRetention.UNTIL_FLUSHED

    @property
    def chunk_size(self) -> int | None:
        """How many records go through the stages together; None: all that were polled."""
        return _CHUNK_RECORDS if self.keeps_events else None

    @property
    def batch_records(self) -> int:
        """How many records a batch has, unless configured."""
        return 4_000 if self.keeps_events else 20_000

    @property
    def fills_batches(self) -> bool:
        """Whether a batch that is old goes on while outputs want more, and there is something to read at once."""
        return not self.keeps_events
