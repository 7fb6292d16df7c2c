# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Settings of librdkafka in URIs: which are taken, and what the others get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from elworkers.config.endpoints import check_topics
from elworkers.config.librdkafka import OURS, PASSED_ON
from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.errors import ConfigurationError

URI = "kafka:///k:1?topic=t"


@pytest.mark.parametrize("name", sorted(PASSED_ON))
def test_the_library_knows_what_is_passed_on(name: str) -> None:
    with pytest.raises(KafkaException) as caught:
        Producer({name: "?", "elworkers.none": ""})
    assert f'No such configuration property: "{name}"' not in str(caught.value)


@pytest.mark.parametrize(
    "check", [check_source, check_sink, lambda text: check_topics(text.replace("topic", "topics"))]
)
def test_settings_are_an_option_of_every_uri(check: Callable[[str], Any]) -> None:
    endpoint = check(f"{URI}&rdkafka.socket.timeout.ms=9000&rdkafka.linger.ms=7")
    assert endpoint.options["rdkafka"] == (("linger.ms", "7"), ("socket.timeout.ms", "9000"))
    assert check(URI).options["rdkafka"] == ()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("rdkafka.lingr.ms=5", "did you mean rdkafka.linger.ms?"),
        ("rdkafka.linger.ms=soon", "option rdkafka.linger.ms=soon: librdkafka says: Invalid value"),
        ("rdkafka.compression.level=77", "is outside allowed range -1..12"),
        ("rdkafka.linger.ms=5&rdkafka.linger.ms=6", "option 'rdkafka.linger.ms' is given twice"),
        ("rdkafka.linger.ms=", "option rdkafka.linger.ms; expected a value"),
        ("rdkafka=5", "expected rdkafka.NAME=VALUE"),
        ("rdkafka.enable.auto.commit=true", "positions are committed when everything before them is written"),
        ("rdkafka.enable.auto.offset.store=true", "positions are committed"),
        ("rdkafka.isolation.level=read_uncommitted", "the option transactions says it"),
        ("rdkafka.transactional.id=x", "it is made of group, host, instance and worker"),
        ("rdkafka.plugin.library.paths=x", "it would load other people's code"),
        ("rdkafka.error_cb=x", "its value is no text"),
        ("rdkafka.debug=all", "could hold credentials"),
        ("rdkafka.group.id=x", "the option identity says it"),
        ("rdkafka.bootstrap.servers=x", "the brokers stand before the ?"),
        ("rdkafka.sasl.password=hunter22", "the option sasl_password says it"),
        ("rdkafka.enable.ssl.certificate.verification=false", "would be given the credentials"),
        ("rdkafka.sasl.kerberos.keytab=x", r"GSSAPI \(Kerberos\) is not in the packages"),
    ],
)
def test_what_cannot_be_set_says_why(written: str, said: str) -> None:
    for check in (check_source, check_sink):
        with pytest.raises(ConfigurationError, match=said.replace("?", r"\?")) as caught:
            check(f"{URI}&{written}")
        assert "hunter22" not in str(caught.value)


def test_every_reason_is_one_or_names_an_option_that_there_is() -> None:
    options = {*check_source(URI).options, *check_sink(URI).options, "client_rack"}
    for name, why in OURS.items():
        assert name not in PASSED_ON
        if why.startswith("the option "):
            assert why.split()[2] in options, name


def test_looking_at_values_leaves_no_thread_behind() -> None:
    code = f"""
import psutil
from elworkers.connectors.registry import check_sink
check_sink("{URI}&rdkafka.linger.ms=5")
print(psutil.Process().num_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("1", "")
