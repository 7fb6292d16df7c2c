# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes pykafka's exceptions from Kafka's error codes."""

from __future__ import annotations

from pykafka.exceptions import ERROR_CODES, KafkaException

from elworkers.connectors.kafka.error_codes import NOT_AUTHORIZED, describe
from elworkers.connectors.kafka.errors import NotAuthorizedError


def library_error(code: int, text: str) -> Exception:
    """Return pykafka's exception of a code, also of one that it does not know."""
    if code in NOT_AUTHORIZED and code not in ERROR_CODES:
        return NotAuthorizedError(f"Kafka: {text}: {describe(code)}")
    found: Exception = ERROR_CODES.get(code, KafkaException)(f"{text}: {describe(code)}")
    return found
