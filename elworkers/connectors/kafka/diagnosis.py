# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Finds out why a broker does not let a client in whose library does not say it.

librdkafka tells a certificate that has expired from one of a foreign CA only in its debug log, and a broker that wants
a login from one that is away not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elworkers.connectors.kafka import api_versions
from elworkers.connectors.kafka.errors import CredentialsRefusedError, OutageError

_TIMEOUT_S = 3.0
_MOST_ASKED = 3


def refusal(hosts: Sequence[str], options: Mapping[str, Any]) -> CredentialsRefusedError | None:
    """Return why the first of these brokers that answers does not let us in; None where it does, or none answers.

    Args:
        hosts: the brokers, each `host:port`; no more than three are asked.
        options: of a URI, typed.
    """
    for host in hosts[:_MOST_ASKED]:
        try:
            api_versions.ask(host, _TIMEOUT_S, options)
        except CredentialsRefusedError as error:
            return error
        except OutageError:
            continue
        return None
    return None
