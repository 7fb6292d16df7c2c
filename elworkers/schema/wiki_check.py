# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Checks whether the schema wiki answers.

Asked at each start, and so without `requests`, which takes 6 MiB.
"""

from __future__ import annotations

import http.client
import threading
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

import structlog

from elworkers.schema.wiki import without_login

_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


@cache
def check_in_background(api: str) -> None:
    """Ask the wiki something small, once in a process, in a thread of its own, and log where it does not answer.

    Args:
        api: the address of its API. Where a proxy stands before it, nothing is asked.
    """
    if not getproxies():
        threading.Thread(target=_ask, args=(api,), name="wiki check", daemon=True).start()


def _ask(api: str) -> None:
    parts = urlsplit(api)
    connection_class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = connection_class(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        connection.request("GET", f"{parts.path}?action=query&meta=siteinfo&format=json")
        status = connection.getresponse().status
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    else:
        why = f"HTTP {status}"
        if status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return
    log.warning(
        "the schema wiki does not answer; events of schemas not known yet will wait",
        code="schema_wiki_unavailable",
        wiki=without_login(api),
        reason=why,
    )
