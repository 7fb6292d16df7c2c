# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Defines the errors that every Kafka client's errors are translated to.

========================  ===============================================  =======================
error                     what has happened                                what the program does
========================  ===============================================  =======================
`OutageError`             no connection, no answer, not ready              waits and tries again
`CredentialsRefusedError` credentials are refused, or a file is useless    waits and tries again
`NotAuthorizedError`      the user is known, but may not do this           waits and tries again
`UnsupportedBrokerError`  the broker is too new or too old for the client  exits with 78
========================  ===============================================  =======================
"""

from __future__ import annotations

from elworkers.core.errors import ConfigurationError, RetryableError


class OutageError(RetryableError):
    """Kafka does not answer, or not yet."""


class CredentialsRefusedError(RetryableError):
    """Kafka does not accept this user's credentials; after a password was rotated that may pass by itself."""


class NotAuthorizedError(RetryableError):
    """This user lacks a permission, which an administrator has to grant."""


class UnsupportedBrokerError(ConfigurationError):
    """The broker is too new or too old for this client."""
