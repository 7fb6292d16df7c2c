# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The token server: who gets a token, what it says, and which key has signed it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from elworkers.devstack import tokens
from elworkers.devstack.certificates import write_key
from elworkers.devstack.fetch import Cache

TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("tokens")
    *_, key, _port = tokens.TokenServer().prepare(home, {"tokens": 0}, Cache(home))
    assert Path(key).stat().st_mode & 0o777 == 0o600
    server = tokens.server(Path(key), 0)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    assert tokens.TokenServer().answers({"tokens": server.server_port})
    yield tokens.issuer({"tokens": server.server_port})
    server.shutdown()
    server.server_close()
    serving.join()
    assert not tokens.TokenServer().answers({"tokens": server.server_port})


def asked(url: str, scope: str = "", **form: str) -> requests.Response:
    given = {"grant_type": "client_credentials", "scope": scope, **form}
    auth = None if form else ("worker", tokens.USERS["worker"])
    return requests.post(f"{url}/token", given, auth=auth, timeout=TIMEOUT_S)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(answer: requests.Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decoded(answer.json()["access_token"].split(".")[1]))
    return found


def verify(url: str, token: str) -> None:
    """Check a signature as a broker does: with what the server publishes."""
    header, body, signature = token.split(".")
    (key,) = requests.get(f"{url}/jwks", timeout=TIMEOUT_S).json()["keys"]
    assert json.loads(decoded(header)) == {"alg": "RS256", "typ": "JWT", "kid": key["kid"]}
    numbers = rsa.RSAPublicNumbers(*(int.from_bytes(decoded(key[name]), "big") for name in "en"))
    signed = f"{header}.{body}".encode()
    numbers.public_key().verify(decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())


def test_a_token_names_issuer_user_audience_and_end_and_is_signed(url: str) -> None:
    answer = asked(url)
    verify(url, answer.json()["access_token"])
    said = claims(answer)
    assert (said["iss"], said["sub"], said["aud"], said["scope"]) == (url, "worker", "kafka", "kafka")
    assert 3590 < said["exp"] - time.time() <= 3600
    assert answer.json()["expires_in"] == 3600


def test_tokens_that_are_wrong_can_be_had_too(url: str) -> None:
    forged = asked(url, "foreign").json()["access_token"]
    with pytest.raises(InvalidSignature):
        verify(url, forged)
    old = asked(url, "expired")
    verify(url, old.json()["access_token"])
    assert claims(old)["iat"] < claims(old)["exp"] < time.time()
    assert asked(url, "brief").json()["expires_in"] == 10


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "worker", "client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "worker", "client_secret": "worker-password", "grant_type": "password"}, 400, "unsupported"),
        ({"client_id": "worker", "client_secret": "worker-password"}, 200, ""),
    ],
)
def test_who_gets_none(url: str, form: dict[str, str], status: int, error: str) -> None:
    answer = asked(url, **form)
    assert answer.status_code == status
    assert answer.json().get("error", "").startswith(error)


def test_what_is_not_there(url: str) -> None:
    assert requests.get(f"{url}/token", timeout=TIMEOUT_S).status_code == 404
    assert requests.post(f"{url}/jwks", {}, timeout=TIMEOUT_S).status_code == 404
    broken = {"Authorization": "Basic ?"}
    form = {"grant_type": "client_credentials"}
    assert requests.post(f"{url}/token", form, headers=broken, timeout=TIMEOUT_S).status_code == 401


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_key(tmp_path / "signing.key", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(TypeError, match="expected an RSA key"):
        tokens.server(tmp_path / "signing.key", 0)
