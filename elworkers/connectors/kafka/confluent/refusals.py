# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Says in one sentence which server refuses which credentials, and what it answers, from librdkafka's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from elworkers.connectors.kafka.tls import alert_sentence

_PLACE = re.compile(
    r"(?:[a-z_]+://(?P<host>[^/\s]+)/\S+: )?(?P<text>.*?)(?: \(after \d+ms in state \w+[^)]*\))?", re.DOTALL
)
"""`ssl://HOST:PORT/bootstrap: TEXT (after 5ms in state AUTH_REQ)`."""

_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "  # noqa: S105 - what librdkafka says, and no secret
_LOGIN = "SASL authentication error: "
_MECHANISM = re.compile(r"SASL \S+ mechanism handshake failed: .*supported mechanisms: (?P<others>.*)")
_ALERT = re.compile(r"tls alert (?P<alert>[a-z ]+)|alert (?P<other>[a-z ]+)")


def place(said: str) -> str:
    """Return `host:port` of the broker that librdkafka's words are of; empty: of none."""
    match = _PLACE.fullmatch(said)
    return (match["host"] or "") if match else ""


def sentence(said: str, options: Mapping[str, Any]) -> str:
    """Return who refuses what, and what the answer is; empty where librdkafka's words are of something else.

    Args:
        said: librdkafka's words.
        options: of a URI, typed.
    """
    match = _PLACE.fullmatch(said)
    host, text = ((match["host"] or ""), match["text"]) if match else ("", said)
    if text.startswith(_TOKEN):
        return _no_token(text.removeprefix(_TOKEN), options)
    if text.startswith(_LOGIN):
        return f"the broker {host} refuses {_who(options)} and answers {_answer(text.removeprefix(_LOGIN))}"
    if found := _MECHANISM.search(text):
        return f"the broker {host} does not take sasl_mechanism={options.get('sasl_mechanism')}, but {found['others']}"
    if "SSL" in text and (found := _ALERT.search(text)):
        return alert_sentence(host, found["alert"] or found["other"], options)
    return ""


def _no_token(answer: str, options: Mapping[str, Any]) -> str:
    server = options.get("oidc_token_endpoint")
    if "unexpired token" in answer:
        return f"the token that {server} gives has expired already"
    if "connect" in answer:
        return f"the token server {server} cannot be reached: {answer}"
    # A colon behind the name of the server, which ends in /token as a rule, would have the answer hidden.
    return f"the token server {server} gives none to {options.get('oidc_client_id')} and answers {_answer(answer)}"


def _who(options: Mapping[str, Any]) -> str:
    mechanism = options.get("sasl_mechanism")
    if options.get("oidc_client_id"):
        return f"the token of {options['oidc_client_id']} (sasl_mechanism={mechanism})"
    return f"sasl_username={options.get('sasl_username')} by sasl_mechanism={mechanism}"


def _answer(text: str) -> str:
    """Return an answer in words, where it is JSON."""
    try:
        found = json.loads(text)
        words = [str(found[name]) for name in ("error", "status", "error_description") if found.get(name)]
    except (ValueError, TypeError, AttributeError):
        words = []
    return repr(", ".join(words) or text)
