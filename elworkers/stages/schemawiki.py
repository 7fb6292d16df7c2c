"""The API address of a schema wiki comes in as a repository of schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from elworkers import __version__
from elworkers.errors import InvalidEventError, RetryableError

if TYPE_CHECKING:
    import requests

_TIMEOUT_S = (3.05, 10.0)


class SchemaWiki:
    """`<api>?action=jsonschema&title=<name>&revid=<revision>&formatversion=2&format=json`."""

    def __init__(self, api: str) -> None:
        self._api = api

    @cached_property
    def _session(self) -> requests.Session:
        # Imported here: it takes 6 MiB, and nothing is asked while all schemas are in the cache on disk.
        import requests

        session = requests.Session()
        session.headers["User-Agent"] = f"elworkers/{__version__} (EventLogging schema client)"
        return session

    def fetch(self, name: str, revision: int) -> Mapping[str, Any] | None:
        """See `schemas.Repository.fetch`. A revision that belongs to another title is not this schema's."""
        from requests import RequestException, codes

        query: dict[str, str | int] = {
            "action": "jsonschema",
            "title": name,
            "revid": revision,
            "formatversion": 2,
            "format": "json",
        }
        try:
            response = self._session.get(self._api, params=query, timeout=_TIMEOUT_S)
        except RequestException as error:
            raise RetryableError(f"schema wiki {self._api}: {type(error).__name__}") from error
        if response.status_code == codes.not_found:
            return None
        if not response.ok:
            raise RetryableError(f"schema wiki {self._api}: HTTP {response.status_code}")
        try:
            answer = response.json()
        except ValueError as error:
            raise RetryableError(f"schema wiki {self._api}: its answer is no JSON") from error
        return self._schema(answer, name, revision)

    @staticmethod
    def _schema(answer: Any, name: str, revision: int) -> Mapping[str, Any] | None:
        if not isinstance(answer, dict):
            raise InvalidEventError(f"schema {name} of revision {revision} is no object")
        if "error" in answer and "properties" not in answer:
            return None
        title = answer.get("title")
        if isinstance(title, str) and title.removeprefix("Schema:").replace(" ", "_") != name.replace(" ", "_"):
            return None
        return answer
