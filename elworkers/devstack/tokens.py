# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Hands out tokens as an OpenID provider does, to clients with a password: `python -m elworkers.devstack.tokens`."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from elworkers.devstack.fetch import Cache
from elworkers.devstack.part import HOST, Part, Ports

USERS = {"admin": "admin-password", "worker": "worker-password"}
"""Who may log in to a broker with locked doors, and with which password."""
AUDIENCE = "kafka"
LIFETIMES_S = {"": 3600, "brief": 10, "expired": -60}
"""How long a token is good for, by the scope that it is asked for with; the first is for any other."""
FOREIGN = "foreign"
"""The scope of a token that is signed with a key that nobody knows."""
_KEY_ID = "devstack"
_KEY_BITS = 2048


def issuer(ports: Ports) -> str:
    """Return the URL that the tokens name as the one who has issued them."""
    return f"http://{HOST}:{ports['tokens']}"


class TokenServer(Part):
    """The token server; its key stays in its folder, so that tokens and brokers outlive a restart."""

    name = "tokens"
    ports = ("tokens",)

    def prepare(self, home: Path, ports: Ports, _cache: Cache) -> list[str]:
        """See `Part.prepare`."""
        key = home / "signing.key"
        if not key.exists():
            key.touch(0o600)
            key.write_bytes(
                rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS).private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        return [sys.executable, "-m", "elworkers.devstack.tokens", str(key), str(ports["tokens"])]

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`."""
        connection = http.client.HTTPConnection(HOST, ports["tokens"], timeout=2)
        try:
            connection.request("GET", "/jwks")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def env(self, ports: Ports) -> dict[str, str]:
        """Return `TOKENS`: the issuer's URL; tokens are had at `/token`."""
        return {"TOKENS": issuer(ports)}


class Issuer:
    """Makes tokens (RFC 7519) of a key, signed with RS256.

    Args:
        key: signs them.
        url: the issuer that they name.
    """

    def __init__(self, key: rsa.RSAPrivateKey, url: str) -> None:
        self._key, self._url = key, url
        self._foreign = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)

    def configuration(self) -> dict[str, Any]:
        """Return the provider's metadata (OpenID Connect Discovery 1.0)."""
        return {
            "issuer": self._url,
            "token_endpoint": f"{self._url}/token",
            "jwks_uri": f"{self._url}/jwks",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the set of keys (RFC 7517) that signatures are checked with."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _KEY_ID, "n": _number(numbers.n)}
        return {"keys": [{**key, "e": _number(numbers.e)}]}

    def token(self, user: str, scope: str) -> dict[str, Any]:
        """Return the answer to a client that may have a token (RFC 6749, 5.1)."""
        now = int(time.time())
        lasts = LIFETIMES_S.get(scope, LIFETIMES_S[""])
        # Kafka wants a scope.
        claims = {
            "iss": self._url,
            "sub": user,
            "aud": AUDIENCE,
            "scope": scope or AUDIENCE,
            "jti": f"{user}-{time.time_ns()}",
            "iat": now + min(lasts, 0) - 1,
            "exp": now + lasts,
        }
        signed = ".".join(_coded(json.dumps(one).encode()) for one in (_HEADER, claims))
        key = self._foreign if scope == FOREIGN else self._key
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"access_token": f"{signed}.{_coded(signature)}", "token_type": "Bearer", "expires_in": max(lasts, 0)}


_HEADER = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}


def _number(number: int) -> str:
    return _coded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self) -> None:
        known = {"/jwks": self.issuer.keys, "/.well-known/openid-configuration": self.issuer.configuration}
        if self.path in known:
            self._answer(200, known[self.path]())
        else:
            self._answer(404, {"error": "not_found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        form = dict(urllib.parse.parse_qsl(body))
        user, password = self._credentials(form)
        if self.path != "/token":
            self._answer(404, {"error": "not_found"})
        elif form.get("grant_type") != "client_credentials":
            self._answer(400, {"error": "unsupported_grant_type"})
        elif not password or USERS.get(user) != password:
            self._answer(401, {"error": "invalid_client", "error_description": f"no client {user} with this secret"})
        else:
            self._answer(200, self.issuer.token(user, form.get("scope", "")))

    def _credentials(self, form: dict[str, str]) -> tuple[str, str]:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return form.get("client_id", ""), form.get("client_secret", "")
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return urllib.parse.unquote(user), urllib.parse.unquote(password)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def server(key_file: Path, port: int) -> ThreadingHTTPServer:
    """Return a token server that listens on a port of this machine and signs with a key in PEM."""
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{key_file}: expected an RSA key")
    made = ThreadingHTTPServer((HOST, port), _Handler)
    _Handler.issuer = Issuer(key, f"http://{HOST}:{made.server_port}")
    return made


if __name__ == "__main__":
    server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
