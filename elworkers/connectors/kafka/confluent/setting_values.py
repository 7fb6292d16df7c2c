# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Asks librdkafka whether it takes the values of settings, without making a client."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, Producer

from elworkers.config.librdkafka import PREFIX
from elworkers.core.errors import ConfigurationError

_UNKNOWN = "elworkers.none"
"""A setting that there is not. It comes last, so that no client is made, whose threads a fork would leave behind."""


def check(settings: Iterable[tuple[str, str]]) -> None:
    """Look whether librdkafka takes each setting.

    Args:
        settings: names and texts.

    Raises:
        ConfigurationError: it does not take one.
    """
    for name, text in settings:
        try:
            Producer({name: text, _UNKNOWN: ""})
        except KafkaException as error:
            said = error.args[0].str().strip()
            if _UNKNOWN not in said:
                raise ConfigurationError(f"kafka URI: option {PREFIX}.{name}={text}: librdkafka says: {said}") from None
