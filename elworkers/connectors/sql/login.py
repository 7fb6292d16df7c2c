# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Connects to MySQL or MariaDB, and gives the server the password only in the ways that the URI allows.

In MySQL's protocol it is the server who names the way to log in, also one that shows it the password. Whoever stands at
the server's address could ask for that, and TLS does not help where nobody looks at the certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR

from elworkers.core.errors import ConfigurationError

_IN_CLEAR = (b"mysql_clear_password", b"dialog")
_NEEDED = "a certificate that is looked at (ssl_ca=FILE)"


@dataclass(frozen=True)
class Login:
    """How a server may be logged in to.

    Attributes:
        tls: what the server's certificate is checked with; None: TLS where the driver wants it, unchecked.
        verified: whether a server that TLS was set up with is the right one.
        allow_cleartext: whether such a server may have the password in clear.
        public_key: the server's own, in PEM, that the password may be encrypted with.
    """

    tls: ssl.SSLContext | None = None
    verified: bool = False
    allow_cleartext: bool = False
    public_key: bytes | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Login:
        """Return the login that the options of a mysql URI describe.

        Raises:
            ConfigurationError: names the option whose file cannot be used.
        """
        given = [options[name] for name in ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify")]
        wanted = any(value is not None for value in given)
        verify = options["ssl_verify"] is not False
        return cls(
            tls=_context(options, verify) if wanted else None,
            verified=wanted and verify,
            allow_cleartext=options["allow_cleartext"],
            public_key=_read("server_public_key", options["server_public_key"]),
        )


DEFAULT_LOGIN = Login()
"""The login of a URI without such options."""


def _context(options: Mapping[str, Any], verify: bool) -> ssl.SSLContext:
    made = ssl.create_default_context()
    # Python 3.13 wants extensions that certificates made by MySQL's and MariaDB's own tools do not have.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    ca, certificate, key = (options[name] for name in ("ssl_ca", "ssl_cert", "ssl_key"))
    if ca is not None:
        with _named("ssl_ca", ca):
            made.load_verify_locations(ca)
    if certificate is not None:
        with _named("ssl_cert" if key is None else "ssl_cert and ssl_key", certificate):
            # Without a password the library would ask for one on the terminal.
            made.load_cert_chain(certificate, key, password=lambda: b"")
    return made


class _named:  # noqa: N801 - reads as what it does
    """Have what a file raises name the option that it stands in."""

    def __init__(self, option: str, path: Path) -> None:
        self._where = f"mysql URI: option {option}: {path}"

    def __enter__(self) -> None: ...

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ssl.SSLError):
            raise ConfigurationError(f"{self._where}: no certificate or key in PEM ({error.reason})") from None
        if isinstance(error, OSError):
            raise ConfigurationError(f"{self._where}: {error.strerror}") from None


def _read(option: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    with _named(option, path):
        return path.read_bytes()


class GuardedConnection(Connection):
    """A connection of PyMySQL that shows the server a password only as far as the login allows.

    Args:
        login: what is allowed.
        options: of `pymysql.connect`, but those of TLS.
    """

    def __init__(self, *, login: Login = DEFAULT_LOGIN, **options: Any) -> None:
        self._login = login
        self._auth_plugin_name: str
        self._encrypted = False
        if login.tls is not None:
            options["ssl"] = login.tls
        super().__init__(**options)

    @property
    def _secure(self) -> bool:
        """Whether PyMySQL may send the password as it is."""
        return self._encrypted and self._login.verified

    @_secure.setter
    def _secure(self, encrypted: bool) -> None:
        self._encrypted = encrypted

    @property
    def server_public_key(self) -> bytes:
        """What PyMySQL encrypts the password with; it would ask the server for one that it does not have."""
        if self._login.public_key is None:
            raise _denied(f"asks for the password itself; that takes {_NEEDED} or server_public_key=FILE")
        return self._login.public_key

    @server_public_key.setter
    def server_public_key(self, _key: object) -> None: ...

    def _request_authentication(self) -> None:
        if self._login.tls is not None and not self.server_capabilities & CLIENT.SSL:  # type: ignore[attr-defined]
            raise _denied("offers no TLS, which ssl_ca, ssl_cert, ssl_key or ssl_verify ask for")
        if self._auth_plugin_name == "sha256_password" and not self._login.verified:
            # PyMySQL would send the password at once; this way the server has to ask for it.
            self._auth_plugin_name = "mysql_native_password"
        super()._request_authentication()  # type: ignore[misc]

    def _process_auth(self, plugin_name: bytes, auth_packet: Any, handler: Any = None) -> Any:
        asked = plugin_name.decode("ascii", "replace")
        if plugin_name in _IN_CLEAR and not (self._login.allow_cleartext and self._secure):
            raise _denied(f"asks for the password in clear ({asked}); that takes allow_cleartext=True and {_NEEDED}")
        if plugin_name == b"mysql_old_password":
            raise _denied(f"wants {asked}, which gives the password away; give the account another way to log in")
        return super()._process_auth(plugin_name, auth_packet, handler)  # type: ignore[misc]


def _denied(what: str) -> pymysql.OperationalError:
    return pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, f"the server {what}")
