# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads schemas from the API of a schema wiki."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from elworkers import __version__
from elworkers.core.errors import InvalidEventError, RetryableError
from elworkers.events.schema_names import is_title_of
from elworkers.schema.time_limit import TimeLimit

if TYPE_CHECKING:
    import requests

_TIMEOUT_S = (3.05, 10.0)
_LONGEST_S = 20.0
"""Seconds that an answer may take as a whole, however often a part of it comes."""

_LARGEST = 4 * 1024 * 1024
"""Bytes of an answer."""

_MOST_ABANDONED = 64
"""Answers without an end that are no longer waited for."""

_BLOCK = 64 * 1024
_MOST_REDIRECTS = 3
_NO_SUCH_SCHEMA = frozenset(("nosuchrevid", "invalidtitle", "revwrongpage", "missingtitle", "nosuchpageid"))
"""Codes of the API's errors for a schema that does not exist; the extension sends some of them with HTTP 400."""

_OF_ALL_NAMES = frozenset(
    (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    )
)
"""Answers of 400 to 499 that may have nothing to do with the schema asked for."""


class _UnexpectedAnswerError(Exception):
    """An answer that leaves open whether the wiki fails or only this schema; its text is what it was."""


class _NoAnswerError(_UnexpectedAnswerError):
    """No answer at all."""


class SchemaWiki:
    """`<api>?action=jsonschema&title=<name>&revid=<revision>&formatversion=2&format=json`."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._limit, self._small_limit = TimeLimit(_MOST_ABANDONED), TimeLimit(_MOST_ABANDONED)
        # Messages get into EventErrors too.
        self._shown = without_login(api)

    @cached_property
    def _session(self) -> requests.Session:
        # Imported here: it takes 6 MiB, and nothing is asked while all schemas are in the cache on disk.
        import requests

        session = requests.Session()
        session.headers["User-Agent"] = f"elworkers/{__version__} (EventLogging schema client)"
        return session

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """See `schemas.Repository.fetch`. A revision that belongs to another title is not this schema's.

        Where an answer, or that there is none, leaves open whose fault it is, the wiki is asked something small: if it
        answers that, the fault is this schema's own.
        """
        query = {"action": "jsonschema", "title": name, "revid": str(revision), "formatversion": "2"}
        try:
            try:
                answer = self._ask_titled(query)
            except _NoAnswerError as none:
                self._raise_if_wiki_fails(str(none))
                # It may have been away only briefly.
                answer = self._ask_titled(query)
        except _UnexpectedAnswerError as unexpected:
            self._raise_if_wiki_fails(str(unexpected))
            raise InvalidEventError(
                f"schema wiki {self._shown} gives no schema {name} of revision {revision}: {unexpected}"
            ) from None
        return answer if answer is not None and is_title_of(answer["title"], name) else None

    def has(self, _name: str) -> bool:
        """See `schemas.Repository.has`."""
        return False

    def _ask_titled(self, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        answer = self._ask(query, self._limit)
        if answer is not None and not isinstance(answer.get("title"), str):
            raise _UnexpectedAnswerError("its answer has no title, and may be anything")
        return answer

    def _raise_if_wiki_fails(self, why: str) -> None:
        try:
            found = self._ask({"action": "query", "meta": "siteinfo", "formatversion": "2"}, self._small_limit)
        except _UnexpectedAnswerError as unexpected:
            raise RetryableError(f"schema wiki {self._shown}: {unexpected}") from None
        except InvalidEventError as error:
            raise RetryableError(error.message) from None
        if found is None or "query" not in found:
            raise RetryableError(f"schema wiki {self._shown}: {why}")

    def _ask(self, query: Mapping[str, str], limit: TimeLimit) -> Mapping[str, Any] | None:
        """Return the object that the API answers, or None where there is no such schema.

        Raises:
            InvalidEventError: the answer is about what was asked for.
            _UnexpectedAnswerError: it is another one.
            _NoAnswerError: none comes.
        """
        status, body = self._get_in_time({**query, "format": "json"}, limit)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        error = answer.get("error") if isinstance(answer, dict) and "properties" not in answer else None
        code = error.get("code") if isinstance(error, dict) else error
        if status == HTTPStatus.NOT_FOUND or (isinstance(code, str) and code in _NO_SUCH_SCHEMA):
            return None
        if status != HTTPStatus.OK:
            answered = f"HTTP {status}" + (f", {code}" if isinstance(code, str) else "")
            if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _OF_ALL_NAMES:
                raise InvalidEventError(
                    f"schema wiki {self._shown} refuses {query.get('title', 'siteinfo')}: {answered}"
                )
            raise _UnexpectedAnswerError(answered)
        if code is not None:
            raise _UnexpectedAnswerError(f"error {code if isinstance(code, str) else '?'}"[:100])
        if not isinstance(answer, dict):
            raise _UnexpectedAnswerError("its answer is no JSON object")
        return answer

    def _get_in_time(self, query: Mapping[str, str], limit: TimeLimit) -> tuple[int, bytes]:
        session = self._session
        try:
            # The headers may come byte by byte as well, which no timeout of a socket ends.
            return limit.call(lambda: self._get(session, query), _LONGEST_S)
        except TimeoutError:
            # The thread that still waits keeps this session.
            self.__dict__.pop("_session", None)
            raise _UnexpectedAnswerError(f"its answer takes longer than {_LONGEST_S:g} s") from None

    def _get(self, session: requests.Session, query: Mapping[str, str]) -> tuple[int, bytes]:
        from requests import RequestException

        url, given = self._api, query
        deadline = time.monotonic() + _LONGEST_S
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                with session.get(url, params=given, timeout=_TIMEOUT_S, stream=True, allow_redirects=False) as response:
                    if not response.is_redirect:
                        return response.status_code, _body(response, deadline)
                    # What it leads to has the query in it.
                    url, given = urljoin(response.url, response.headers["location"]), {}
                if urlsplit(url).hostname != urlsplit(self._api).hostname:
                    raise _UnexpectedAnswerError("it redirects to another host")
        except RequestException as error:
            raise _NoAnswerError(type(error).__name__) from error
        except ValueError:
            raise _UnexpectedAnswerError("it redirects to what is no address") from None
        raise _UnexpectedAnswerError(f"it redirects more than {_MOST_REDIRECTS} times")


def _body(response: requests.Response, deadline: float) -> bytes:
    from urllib3.exceptions import HTTPError

    body = bytearray()
    try:
        # What has come, and not a full block: one that comes byte by byte would never be one.
        while chunk := response.raw.read1(_BLOCK, decode_content=True):
            body += chunk
            if len(body) > _LARGEST:
                raise _UnexpectedAnswerError(f"its answer is larger than {_LARGEST} bytes")
            if time.monotonic() > deadline:
                raise _UnexpectedAnswerError(f"its answer takes longer than {_LONGEST_S:g} s")
    except HTTPError as error:
        raise _UnexpectedAnswerError(f"its answer breaks off: {type(error).__name__}") from None
    return bytes(body)


def is_wiki(uri: str) -> bool:
    """Return whether this is meant as the address of a schema wiki, and not as a folder."""
    return re.match(r"https?://", uri) is not None


def without_login(url: str) -> str:
    """Return an address as it can be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_address(url: str) -> bool:
    """Return whether this names a host, and a port if any, that can be asked."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
