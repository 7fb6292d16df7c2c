# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Renders the tables of docs/instances.md and docs/kafka.md from the options of all URIs. If run, writes them there.

A comment says which table stands below it: `<!-- options: output mysql -->`, or, where another table has the rest,
`<!-- options: output mysql without sqlite -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from elworkers.config.kafka_clients import CONNECTION
from elworkers.config.options import KAFKA_TOPICS
from elworkers.config.types import unsupported
from elworkers.config.uris import Option, Options
from elworkers.connectors.kafka.confluent.consumer_settings import (
    CLASSIC_ONLY,
    MAPPED,
    OWN,
    WITHOUT_MEANING,
    ZOOKEEPER,
)
from elworkers.connectors.registry import sink_specs, source_specs, storage_specs

PAGE = Path(__file__).parent.parent / "docs" / "instances.md"
KAFKA_PAGE = PAGE.with_name("kafka.md")

_MARK = re.compile(r"<!-- options: (\w+) (\w+)(?: without (\w+))? -->\n\n(?:\|.*\n)*")


def is_shown(option: Option) -> bool:
    """Return whether a URI can give an option a value."""
    return option.type is not unsupported


def tables() -> Mapping[tuple[str, str], Options]:
    """Return the options of each direction and scheme."""
    return {
        **{("input", scheme): spec.options for scheme, spec in source_specs().items()},
        **{("output", scheme): spec.options for scheme, spec in sink_specs().items()},
        ("topics", "kafka"): KAFKA_TOPICS,
        ("connection", "kafka"): CONNECTION,
        **{("storage", scheme): spec.options or {} for scheme, spec in storage_specs().items()},
    }


def row(name: str, option: Option) -> str:
    """Return the row of an option."""
    default = "" if option.default is None or option.family else str(option.default)
    return f"| `{name}{'.NAME' if option.family else ''}` | {default} | {option.help} |"


def shown(text: str) -> set[tuple[str, str]]:
    """Return the direction and scheme of each table that the page has."""
    return {(mark[1], mark[2]) for mark in _MARK.finditer(text)}


def page(text: str) -> str:
    """Return the page with its tables as the registry has them."""
    known = tables()

    def table(mark: re.Match[str]) -> str:
        direction, scheme, without = mark.groups()
        elsewhere = dict(known[direction, without]) if without else {}
        if scheme == "kafka" and direction != "connection":
            elsewhere |= CONNECTION
        lines = [mark[0].partition("\n")[0], "", "| option | default | what it does |", "|---|---|---|"]
        for name, option in known[direction, scheme].items():
            if name not in elsewhere and is_shown(option):
                lines.append(row(name, option))
        return "\n".join([*lines, ""])

    return _MARK.sub(table, text)


def kafka_page(text: str) -> str:
    """Return docs/kafka.md with its table of what confluent-kafka makes of an input's options."""
    rows = {
        **{option: f"librdkafka's `{name}`" for option, name in MAPPED.items()},
        **{option: f"librdkafka's `{name}`, unless the broker shares out" for option, name in CLASSIC_ONLY.items()},
        **OWN,
        **{option: f"no effect: {why}" for option, why in WITHOUT_MEANING.items()},
        **dict.fromkeys(ZOOKEEPER, "no effect: the group is Kafka's"),
    }
    lines = [
        "| option | with confluent-kafka |",
        "|---|---|",
        *(f"| `{option}` | {what} |" for option, what in rows.items()),
    ]
    table = "<!-- options with confluent-kafka -->\n\n" + "\n".join([*lines, ""])
    return re.sub(r"<!-- options with confluent-kafka -->\n\n(?:\|.*\n)*", lambda _: table, text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    KAFKA_PAGE.write_text(kafka_page(KAFKA_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
