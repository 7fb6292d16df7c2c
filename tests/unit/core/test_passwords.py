# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""No password in what is said: in free text, in errors about what cannot be read, in logs."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.config.argument_files import Argument
from elworkers.config.uris import parse
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.core.passwords import HIDDEN, remember, shown, without_passwords
from elworkers.roles.validate import check_arguments

ODD = ["hunter2hunter2", "pa ss'w\"rd9", "a/b/c1234", "p@ss@w0rd", "q?a=1&b#2", "x://y123z", "100%25sure", "tab\t9bell"]


@pytest.mark.parametrize("secret", ODD)
@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to mysql://user:%s@db1:3306/log: refused",
        "hdfs://%%75ser:%s@nn/base, mysql://u@h/db and kafka:///k1:9092?topic=t",
        "kafka:///k1:9092,k2:9092 then mysql://:%s@h",
    ],
)
def test_a_password_in_a_uri_is_hidden_however_odd(text: str, secret: str) -> None:
    made = text % secret
    assert made.count("@") > 0
    hidden = without_passwords(made)
    assert secret not in hidden
    assert all(part not in hidden for part in secret.replace("@", " ").split() if len(part) > 4)
    assert f":{HIDDEN}@" in hidden


@pytest.mark.parametrize("secret", ["hunter2", "b/c:d%e", "it9"])
@pytest.mark.parametrize(
    "text",
    [
        "?user=u&password=%s&x=1",
        "token=%s",
        "client_secret: %s, user: u",
        "{'password': '%s', 'user': 'u'}",
        '{"db-passwd": "%s"}',
        "{b'password': b'%s'}",
        "['--password', '%s']",
        'PASSWORD="%s"',
        "Authorization: Basic %s",
        "{'Authorization': 'Bearer %s'}",
    ],
)
def test_a_secret_behind_its_name_is_hidden(text: str, secret: str) -> None:
    assert secret not in without_passwords(text % secret)


@pytest.mark.parametrize(
    "text",
    [
        "Access denied for user 'u'@'h' (using password: YES)",
        "mysql URI: expected mysql://USER:PASSWORD@HOST/DATABASE",
        "kafka:///k1:9092,k2:9092?topic=t&identity=a@b",
        "http://h:8080/path?mail=a@b",
        "http://[::1]:8080/a@b",
        "mysql://user@host/db",
        "database mysql://u:***@127.0.0.1:3306/log: INSERT command denied to user 'u'@'127.0.0.1' for table `log`.`t`",
        "3 tokens were read",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert without_passwords(text) == text


@given(st.text(alphabet="ab:/@?&= '\"\n\tpasword{}[],%"))
def test_hiding_twice_is_hiding_once(text: str) -> None:
    once = without_passwords(text)
    assert without_passwords(once) == once


@pytest.mark.parametrize("chunk", ["a", "://", "u:p@", "x://u:p", "password=", "token='", "authorization: ", "@", ":"])
def test_a_long_text_is_looked_at_once(chunk: str) -> None:
    # A pattern that begins anew at each sign takes hours for this.
    found = without_passwords(chunk * (2_000_000 // len(chunk)) + " password=hunter2 ")
    assert "hunter2" not in found
    assert found.startswith(chunk.rstrip("' "))


@pytest.mark.parametrize("secret", ODD)
def test_what_was_read_is_hidden_wherever_it_turns_up(secret: str) -> None:
    assert parse(f"mysql://user:{quote(secret, safe='')}@host/log").password == secret
    for form in (secret, repr(secret), json.dumps(secret), quote(secret, safe=""), repr(secret.encode()), [secret]):
        hidden = without_passwords(f"the library says {form}")
        assert HIDDEN in hidden
        assert secret not in hidden
        assert quote(secret, safe="") not in hidden


def test_a_plain_word_is_not_hidden_everywhere() -> None:
    parse("mysql://eventlogging:eventlogging@host/log")
    remember("abc1")
    assert without_passwords("eventlogging-valid-mixed abc1") == "eventlogging-valid-mixed abc1"


@pytest.mark.parametrize("secret", ODD)
@pytest.mark.parametrize(
    "lines",
    [
        ["kafka:///k:1?topic=t&identity=g", "mysql://user:%s@h/db"],
        ["kafka:///k:1?topic=t&identity=g", "mysql://user:%s@h/"],
        ["kafka:///k:1?topic=t&identity=g", "mysql://user:%s@h/db?nonsense=1"],
        ["kafka:///k:1?topic=t&identity=g", "mysql://user:%s@h:port/db"],
        ["kafka:///k:1?topic=t&identity=g", "mysql://h/db?password=%s"],
        ["kafka:///k:1?topic=t&identity=g", "mysql//user:%s@h/db"],
        ["kafka:///k:1?topic=t&identity=g", "stdout:", "mysql://user:%s@h/db"],
        ["kafka:///k:1?topic=t&identity=g", "stdout:", "user:%s@h"],
        ["kafka:///user:%s@k:1?topic=t&identity=g", "stdout:"],
        ["kafka://user:%s/k:1?topic=t&identity=g", "stdout:"],
        ["udp://user:%s@h", "stdout:"],
        ["mysql://user:%s@h/db", "stdout:"],
        ["kafka:///k:1?topic=t&identity=g", "stdout:", "--workers", "mysql://user:%s@h/db"],
        ["kafka:///k:1?topic=t&identity=g", "stdout:", "--mysql://user:%s@h/db"],
        ["kafka:///k:1?topic=t&identity=g", "stdout:", "--password=%s"],
    ],
)
def test_an_error_about_an_argument_has_no_password(lines: list[str], secret: str) -> None:
    words = [Argument(line.replace("%s", secret), "file", number) for number, line in enumerate(lines, 1)]
    try:
        check_arguments("consumer", words)
        said = ""
    except ConfigurationError as error:
        said = f"{error} {error.message}"
    assert secret not in said
    assert all(part not in said for part in secret.split("@") if len(part) > 4), said


def test_what_holds_no_secret_is_shown() -> None:
    assert shown("stdout:") == "'stdout:'"
    assert shown("soon") == "'soon'"
    assert shown("mysql://user:x@h") == "'mysql:…'"
    assert shown("x" * 100) == f"'{'x' * 60}…'"


def test_errors_of_ours_hide_what_they_are_given() -> None:
    assert str(RetryableError("mysql://user:s3cret@host")) == "mysql://user:***@host"
    assert ConfigurationError("mysql://user:s3cret@host").message == "mysql://user:***@host"


def test_a_traceback_that_python_prints_has_no_password() -> None:
    program = """
from elworkers.core.passwords import guard_tracebacks
guard_tracebacks()
secret = "mysql://user:s3cret@host/log"
raise ValueError(secret)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert "ValueError: mysql://user:***@host/log" in done.stderr
    assert done.stderr.count("s3cret") == 0
