# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Names the folders of hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

HOUR_S, HOUR_MS = 3600, 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HourPartition(NamedTuple):
    """A folder below that of a schema.

    Attributes:
        hour: hours since the epoch, in UTC.
        prefix: `late` or `future` for a message that is not kept by its own hour, empty for all others.
    """

    hour: int
    prefix: str = ""

    @property
    def path(self) -> str:
        """`[<prefix>/]<year>/<month>/<day>/<hour>`."""
        folder = f"{_EPOCH + timedelta(hours=self.hour):%Y/%m/%d/%H}"
        return f"{self.prefix}/{folder}" if self.prefix else folder

    @property
    def end_ms(self) -> int:
        """When the hour is over, in ms since the epoch."""
        return (self.hour + 1) * HOUR_MS
