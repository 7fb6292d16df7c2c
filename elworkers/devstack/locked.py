# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Configures and starts Kafka with locked doors: TLS, client certificates, SASL and ACLs.

Each listener takes one way to log in and refuses everything else. The users are those of `USERS`, whichever way they
log in; `admin` may do everything, `worker` what ACLs allow it, and there are none at first.
"""

from __future__ import annotations

import datetime
import fcntl
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from elworkers.devstack import asking
from elworkers.devstack.certificates import DAY, signed, write_key
from elworkers.devstack.kafka import Kafka
from elworkers.devstack.part import HOST, Ports
from elworkers.devstack.tokens import AUDIENCE, USERS, issuer

CERTIFICATES = "certificates"
"""The folder of the stack that has the files."""
KEY_PASSWORD = "key-password"  # noqa: S105 - of a file that only tests use
LISTENERS = {
    "tls": "SSL",
    "mtls": "SSL",
    "plain": "SASL_SSL",
    "scram": "SASL_SSL",
    "oidc": "SASL_SSL",
    "expired": "SSL",
    "misnamed": "SSL",
}
"""Each listener and its security protocol. `tls` takes those who have no certificate too, and lets them do everything;
`expired` and `misnamed` are as `tls`, with a certificate that has expired or is for another host."""
_LASTS = 365 * DAY
_LOGIN = "org.apache.kafka.common.security"
_SERVER = "server"


def ports(part: str) -> tuple[str, ...]:
    """Return the names of a part's ports: those of its listeners, and its controller's."""
    return (*(f"{part}-{name}" for name in LISTENERS), f"{part}-controller")


def certificates(folder: Path) -> None:
    """Make what servers and clients need, where it is not there or ends within a month.

    `ca.pem` has signed `server.pem`, the users' `admin.pem` and `worker.pem`, and of those that are wrong
    `expired.pem` and `misnamed.pem`; `foreign.pem` is signed by `foreign-ca.pem`. The last three have `admin` as their
    owner. Keys are beside them (`.key`); `admin-encrypted.key` is admin's with the password `KEY_PASSWORD`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "complete"
        if done.exists() and _ends(folder / "ca.pem") - datetime.datetime.now(datetime.UTC) > 30 * DAY:
            return
        own = signed(folder, "ca", ends=_LASTS, owner="devstack")
        for name in (_SERVER, "worker"):
            signed(folder, name, own, _LASTS)
        admin = signed(folder, "admin", own, _LASTS)
        write_key(folder / "admin-encrypted.key", admin.private, KEY_PASSWORD)
        signed(folder, "expired", own, -DAY, owner="admin")
        signed(folder, "misnamed", own, _LASTS, hosts=["elsewhere.invalid"], owner="admin")
        signed(folder, "foreign", signed(folder, "foreign-ca", ends=_LASTS), _LASTS, owner="admin")
        for made in folder.glob("*.pem"):
            if (key := made.with_suffix(".key")).exists():
                # As Kafka wants it: a key and its certificate in one file.
                store = made.with_suffix(".store")
                store.touch(0o600)
                store.write_bytes(key.read_bytes() + made.read_bytes())
        done.touch()


def _ends(file: Path) -> datetime.datetime:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


@dataclass(frozen=True)
class LockedKafka(Kafka):
    """Kafka with a listener for each way to log in; see `LISTENERS`."""

    needs: tuple[str, ...] = ("tokens",)

    def listeners(self, home: Path, ports: Ports) -> dict[str, object]:
        """See `Kafka.listeners`."""
        folder = home.parent / CERTIFICATES
        certificates(folder)
        at = {name.upper(): f"{HOST}:{ports[f'{self.name}-{name}']}" for name in LISTENERS}
        controller = f"{HOST}:{ports[f'{self.name}-controller']}"
        places = ",".join(f"{name}://{place}" for name, place in at.items())
        protocols = ",".join(f"{name.upper()}:{protocol}" for name, protocol in LISTENERS.items())
        return {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{places},CONTROLLER://{controller}",
            "advertised.listeners": places,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "MTLS",
            "listener.security.protocol.map": f"{protocols},CONTROLLER:SSL",
            **_stores("", folder, _SERVER),
            **_stores("listener.name.expired.", folder, "expired"),
            **_stores("listener.name.misnamed.", folder, "misnamed"),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # ANONYMOUS is who comes without a certificate to a listener that asks for none.
            "super.users": f"User:admin;User:{_SERVER};User:ANONYMOUS",
            **_sasl(issuer(ports)),
        }

    def format_options(self) -> list[str]:
        """Return the users whose passwords Kafka keeps itself."""
        return [
            option
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for user, password in USERS.items()
            for option in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]

    def system_properties(self, ports: Ports) -> Mapping[str, str]:
        """Return where Kafka may ask for keys of tokens: nowhere, unless it is told."""
        return {"org.apache.kafka.sasl.oauthbearer.allowed.urls": f"{issuer(ports)}/jwks"}

    def answers(self, ports: Ports) -> bool:
        """See `Part.answers`."""
        # Whether it is there is all that is asked.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return self.node in asking.cluster(HOST, ports[f"{self.name}-tls"], context).brokers

    def env(self, ports: Ports) -> dict[str, str]:
        """Return host and port of each listener: `<variable>_TLS`, `<variable>_MTLS` and so on."""
        return {f"{self.variable}_{name.upper()}": f"{HOST}:{ports[f'{self.name}-{name}']}" for name in LISTENERS}


def _stores(prefix: str, folder: Path, name: str) -> dict[str, object]:
    return {
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": folder / f"{name}.store",
        f"{prefix}ssl.truststore.type": "PEM",
        f"{prefix}ssl.truststore.location": folder / "ca.pem",
    }


def _sasl(tokens: str) -> dict[str, object]:
    users = " ".join(f'user_{user}="{password}"' for user, password in USERS.items())
    scram, oauth = f"{_LOGIN}.scram.ScramLoginModule required;", f"{_LOGIN}.oauthbearer"
    bearer = "listener.name.oidc.oauthbearer.sasl"
    return {
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required {users};",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.scram.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.oidc.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{bearer}.jaas.config": f"{oauth}.OAuthBearerLoginModule required;",
        f"{bearer}.server.callback.handler.class": f"{oauth}.OAuthBearerValidatorCallbackHandler",
        "listener.name.oidc.sasl.oauthbearer.jwks.endpoint.url": f"{tokens}/jwks",
        "listener.name.oidc.sasl.oauthbearer.expected.issuer": tokens,
        "listener.name.oidc.sasl.oauthbearer.expected.audience": AUDIENCE,
    }
