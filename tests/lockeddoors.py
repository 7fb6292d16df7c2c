# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""A broker of the development stack with locked doors: where its doors are, and which keys there are for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elworkers.devstack import Stack
from elworkers.devstack.locked import CERTIFICATES, KEY_PASSWORD, LISTENERS
from elworkers.devstack.tokens import USERS


@dataclass(frozen=True)
class LockedDoors:
    """A broker that lets nobody in who has no right to.

    Attributes:
        hosts: name of a listener (`tls`, `mtls`, `plain`, `scram`, `oidc`, `expired`, `misnamed`) → `host:port`.
        files: the folder of certificates and keys; see `elworkers.devstack.locked.certificates`.
        tokens: the URL of the token server; tokens are had at `/token`.
        users: name → password, of PLAIN, SCRAM and the token server.
        key_password: that of `admin-encrypted.key`.
    """

    hosts: Mapping[str, str]
    files: Path
    tokens: str
    users: Mapping[str, str]
    key_password: str

    @classmethod
    def of(cls, stack: Stack, part: str) -> LockedDoors:
        """Those of a part, which this brings up."""
        stack.up(part)
        env = stack.env()
        variable = part.upper().replace("-", "_")
        hosts = {name: env[f"{variable}_{name.upper()}"] for name in LISTENERS}
        return cls(hosts, stack.folder / CERTIFICATES, env["TOKENS"], USERS, KEY_PASSWORD)

    def librdkafka(self, door: str, user: str = "admin", mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Settings of librdkafka with which a user gets in by a door; `mechanism` is for `scram`."""
        settings = {"bootstrap.servers": self.hosts[door], "ssl.ca.location": str(self.files / "ca.pem")}
        if door == "mtls":
            settings["ssl.certificate.location"] = str(self.files / f"{user}.pem")
            settings["ssl.key.location"] = str(self.files / f"{user}.key")
        if door not in ("plain", "scram", "oidc"):
            return {**settings, "security.protocol": "SSL"}
        settings["security.protocol"] = "SASL_SSL"
        if door == "oidc":
            return {
                **settings,
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": user,
                "sasl.oauthbearer.client.secret": self.users[user],
                "sasl.oauthbearer.token.endpoint.url": f"{self.tokens}/token",
            }
        settings["sasl.mechanism"] = "PLAIN" if door == "plain" else mechanism
        return {**settings, "sasl.username": user, "sasl.password": self.users[user]}
