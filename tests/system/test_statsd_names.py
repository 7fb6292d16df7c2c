# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a consumer that stores rows calls its metrics: by its installed command, at a real UDP socket."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from statsd import HOST, Statsd
from topology import BIN, SCHEMAS
from waiting import wait_for

EVENT = {
    "event": {"emailDeliveryMode": "daily_digest", "recipientUserId": 1, "version": "1"},
    "schema": "EchoMail",
    "revision": 5467650,
    "wiki": "w",
    "recvFrom": "h",
    "timestamp": 1469795696,
}
WITH_HOST, ORIGINAL = f"eventlogging.{HOST}.overall.inserted", "eventlogging.overall.inserted"


@pytest.mark.parametrize(
    ("words", "option", "name"),
    [
        ([], "", WITH_HOST),
        (["--statsd-names=original"], "", ORIGINAL),
        ([], "&statsd_prefix=eventlogging", ORIGINAL),
        (["--statsd-names=original"], "&statsd_prefix=site.%7Bhost%7D", f"site.{HOST}.overall.inserted"),
    ],
)
def test_rows_are_counted_by_the_name_that_is_wanted(tmp_path: Path, words: list[str], option: str, name: str) -> None:
    statsd = Statsd()
    lines = [json.dumps({**EVENT, "uuid": f"{number:032x}"}) for number in range(3)]
    output = f"sqlite:///{tmp_path}/events.db?statsd_host=127.0.0.1&statsd_port={statsd.port}{option}"
    command = [
        BIN / "eventlogging-consumer",
        "stdin:",
        output,
        "--output-invalid=stdout:",
        "--schemas",
        str(SCHEMAS),
        *words,
    ]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, capture_output=True, timeout=60)
    wait_for(lambda: statsd.read().counters == {name: 3}, 10, f"3 as {name}")
