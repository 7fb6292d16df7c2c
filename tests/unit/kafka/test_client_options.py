# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Settings of librdkafka for TLS and logins, and what is said of files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.connectors.kafka.client_options import librdkafka_settings
from elworkers.connectors.kafka.errors import CredentialsRefusedError
from elworkers.connectors.registry import check_sink
from elworkers.devstack.certificates import DAY, signed, write_key

SCRAM = "security_protocol=SASL_PLAINTEXT&sasl_mechanism=SCRAM-SHA-256&sasl_username=u"


def settings(written: str = "") -> dict[str, str | int]:
    """The settings of a URI with these options."""
    return librdkafka_settings(check_sink(f"kafka:///k:1?topic=t&{written}").options)


def test_a_plain_uri_has_none() -> None:
    assert settings() == {}


def test_settings_of_librdkafka_are_passed_on() -> None:
    assert settings("rdkafka.linger.ms=5&rdkafka.socket.nagle.disable=false") == {
        "linger.ms": "5",
        "socket.nagle.disable": "false",
    }


def test_a_login_is_what_the_mechanism_needs() -> None:
    assert settings(f"{SCRAM}&sasl_password=hunter22") == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "u",
        "sasl.password": "hunter22",
    }
    oidc = "oidc_token_endpoint=http://i/t&oidc_client_id=c&oidc_client_secret=s&oidc_scope=a%20b"
    assert settings(f"security_protocol=SASL_PLAINTEXT&sasl_mechanism=OAUTHBEARER&{oidc}") == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "http://i/t",
        "sasl.oauthbearer.client.id": "c",
        "sasl.oauthbearer.client.secret": "s",
        "sasl.oauthbearer.scope": "a b",
    }


def test_a_password_is_read_anew_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for password in ("first-1", "second-2"):
        file.write_text(f"{password}\n", encoding="utf-8")
        options = check_sink(f"kafka:///k:1?topic=t&{SCRAM}&sasl_password_file={file}").options
        assert librdkafka_settings(options)["sasl.password"] == password


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not hold one line"),
        (b"one\ntwo\n", "does not hold one line"),
        (b"\xff\n", "is not UTF-8"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_without_a_password_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"x")
    options = check_sink(f"kafka:///k:1?topic=t&{SCRAM}&sasl_password_file={file}").options
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(CredentialsRefusedError, match=f"sasl_password_file={file} {said}"):
        librdkafka_settings(options)


class Files:
    """Certificates and keys of a folder: right ones, and others."""

    def __init__(self, folder: Path) -> None:
        self.ca = signed(folder, "ca")
        self.own = signed(folder, "own", self.ca)
        self.other = signed(folder, "other", self.ca)
        self.expired = signed(folder, "expired", self.ca, -DAY)
        self.expired_ca = signed(folder, "expired-ca", ends=-DAY)
        self.locked_key = folder / "locked.key"
        write_key(self.locked_key, self.own.private, "key-password-1")
        self.nothing = folder / "nothing.pem"
        self.nothing.write_bytes(b"no certificate\n")

    def uri(self, certificate: object = None, key: object = None, ca: object = None, more: str = "") -> str:
        """The options of TLS with these files, or the right ones."""
        return (
            f"security_protocol=SSL&ssl_certificate={certificate or self.own.file}&ssl_key={key or self.own.key}"
            f"&ssl_ca={ca or self.ca.file}{more}"
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def test_certificates_and_keys_are_named_to_the_library(files: Files) -> None:
    right = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(files.ca.file),
        "ssl.certificate.location": str(files.own.file),
        "ssl.key.location": str(files.own.key),
    }
    assert settings(files.uri()) == right
    assert settings(files.uri(key=files.locked_key, more="&ssl_key_password=key-password-1")) == {
        **right,
        "ssl.key.location": str(files.locked_key),
        "ssl.key.password": "key-password-1",
    }


def test_what_is_wrong_with_own_files_is_said_with_option_and_file(files: Files) -> None:
    for uri, said in (
        (files.uri(ca=files.nothing), f"ssl_ca={files.nothing} has no certificate in PEM"),
        (
            files.uri(ca=files.expired_ca.file),
            f"ssl_ca={files.expired_ca.file} has a certificate that has exp",
        ),
        (files.uri(certificate=files.nothing), f"ssl_certificate={files.nothing} has no certificate"),
        (
            files.uri(files.expired.file, files.expired.key),
            "expired.pem has a certificate that has expired on 2",
        ),
        (files.uri(key=files.nothing), f"ssl_key={files.nothing} has no private key in PEM"),
        (files.uri(key=files.other.key), f"ssl_key={files.other.key} has a key that is not that of the cert"),
        (files.uri(key=files.locked_key), "has a key with a password; expected ssl_key_password or"),
        (
            files.uri(key=files.locked_key, more="&ssl_key_password=wrong-1"),
            "has no private key that the password opens",
        ),
        (files.uri(more="&ssl_key_password=useless-1"), "has a key without a password; expected neither"),
    ):
        with pytest.raises(CredentialsRefusedError, match=said) as caught:
            settings(uri)
        assert "useless-1" not in str(caught.value)
        assert "wrong-1" not in str(caught.value)


def test_one_ca_that_is_valid_is_enough(files: Files, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(files.expired_ca.file.read_bytes() + files.ca.file.read_bytes())
    assert settings(files.uri(ca=both))["ssl.ca.location"] == str(both)


def test_a_file_that_went_after_the_check_is_waited_for(tmp_path: Path) -> None:
    ca = signed(tmp_path, "ca")
    options = check_sink(f"kafka:///k:1?topic=t&security_protocol=SSL&ssl_ca={ca.file}").options
    ca.file.unlink()
    with pytest.raises(CredentialsRefusedError, match=f"ssl_ca={ca.file} cannot be read: No such file"):
        librdkafka_settings(options)
