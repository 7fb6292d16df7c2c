# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""URIs: what the instance files of 2016 hold, and what a slip of the pen gets."""

from __future__ import annotations

import pytest

from elworkers.config.endpoints import consumer_group
from elworkers.config.uris import parse
from elworkers.connectors.registry import check_sink, check_source, sink_specs, source_specs
from elworkers.core.errors import ConfigurationError

CLIENT_SIDE = (
    "kafka:///k1:9092,k2:9092?topic=eventlogging-client-side&zookeeper_connect=zk1:2181"
    "&auto_commit_enable=True&auto_commit_interval_ms=10000&auto_offset_reset=-1"
)


def test_kafka_brokers_may_stand_in_the_path() -> None:
    assert parse(CLIENT_SIDE).hosts == ("k1:9092", "k2:9092")
    assert parse("kafka://k1:9092/?topic=t").hosts == ("k1:9092",)


def test_options_are_typed() -> None:
    options = check_source(CLIENT_SIDE).options
    assert options["auto_commit_enable"] is True
    assert options["auto_commit_interval_ms"] == 10_000
    assert options["auto_offset_reset"] == -1
    assert options["zookeeper_connect"] == "zk1:2181"
    assert options["session_timeout_ms"] == 30_000


@pytest.mark.parametrize(("text", "number"), [("earliest", -2), ("-2", -2), ("latest", -1), ("-1", -1)])
def test_offset_reset_takes_pykafkas_numbers_and_words(text: str, number: int) -> None:
    assert check_source(f"kafka:///k:1?topic=t&auto_offset_reset={text}").options["auto_offset_reset"] == number


def test_plus_stays_plus_and_percent_escapes_are_decoded() -> None:
    sink = check_sink("kafka:///k:1?topic=t&blacklist=^(Edit|A.+%26B)$")
    assert sink.options["blacklist"] == "^(Edit|A.+&B)$"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("kafka:///k:1?topc=t", "did you mean 'topic'"),
        ("kafka:///k:1?topic=t&auto_commit_interval_ms=soon", "a whole number of at least 1"),
        ("kafka:///k:1?topic=t&raw=perhaps", "True or False"),
        ("kafka:///k:1?topic=t&topic=u", "given twice"),
        ("kafka:///k:1?topic", "expected topic=VALUE"),
        ("kafka:///k:1", "topic is missing"),
        ("kafka:///?topic=t", "no broker"),
        ("kafka:///k:port?topic=t", "a number from 1 to 65535"),
        ("kafka:///k:1?topic=eventlogging_{schema}", "the name of one topic"),
        ("kafka:///k:1?topic=t&use_rdkafka=True", "only for groups managed by ZooKeeper"),
        ("kafka:///k:1?topic=t&deserializer=x", "a URI cannot hold"),
        ("kafka:///k:1?topic=t&identity=a&consumer_group=b", "different groups"),
        ("kafak:///k:1?topic=t", "did you mean 'kafka'"),
        ("udp://", "no host"),
        ("udp://h:99999", "a number from 1 to 65535"),
        ("file://", "no path"),
        ("no uri at all", "is not a URI"),
    ],
)
def test_a_wrong_input_says_what_was_expected(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named.replace("{", r"\{").replace("(", r"\(")):
        check_source(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mysql://u:p@h/", "no database"),
        ("mysql:///log", "no host"),
        ("kafka:///k:1?topic=t&blacklist=(", "a regular expression"),
        ("sqlite://", "no path"),
        ("stdin:", "no output has the scheme"),
    ],
)
def test_a_wrong_output_says_what_was_expected(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        check_sink(text)


def test_passwords_are_decoded_but_never_shown() -> None:
    uri = parse("mysql://user:p%40ss@host/log?charset=utf8")
    assert (uri.user, uri.password, uri.path) == ("user", "p@ss", "/log")
    assert "p@ss" not in str(uri)
    assert "p@ss" not in repr(uri)
    assert str(uri) == "mysql://user:***@host/log?charset=utf8"


@pytest.mark.parametrize(
    "text",
    ["mysql:user:secret@host/log", "mysql://user:sec/secret@h/l", "user:secret@host/log", "m ysql://user:secret@h/l"],
)
def test_what_is_no_uri_does_not_show_its_password(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_sink(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("servers", ["z1:2181", "z1,z2:2181", "z1:2181,z2:2181/kafka/eqiad", "[::1]:2181/k", "z:1/"])
def test_zookeepers_servers_may_have_a_chroot(servers: str) -> None:
    assert check_source(f"kafka:///k:1?topic=t&zookeeper_connect={servers}").options["zookeeper_connect"] == servers


@pytest.mark.parametrize("servers", ["z1:2181/kafka,z2:2181/kafka", "/kafka", "z1,,z2", "z1:2181//kafka", "z1 z2"])
def test_what_names_no_zookeeper_is_refused(servers: str) -> None:
    with pytest.raises(ConfigurationError, match=r"zookeeper_connect.*HOST:PORT/CHROOT, the chroot only once"):
        check_source(f"kafka:///k:1?topic=t&zookeeper_connect={servers}")


def test_sid_and_identity_must_agree() -> None:
    endpoint = check_source("kafka:///k:1?topic=t&identity=a")
    assert consumer_group(endpoint, None) == "a"
    assert consumer_group(endpoint, "a") == "a"
    with pytest.raises(ConfigurationError, match="different consumer groups"):
        consumer_group(endpoint, "b")


def test_ipv6_hosts_keep_their_brackets_apart_from_the_port() -> None:
    assert parse("udp://[::1]:8421").endpoint(1) == ("::1", 8421)
    assert parse("udp://localhost").endpoint(8421) == ("localhost", 8421)


def test_every_option_explains_itself() -> None:
    for spec in (*source_specs().values(), *sink_specs().values()):
        for name, option in spec.options.items():
            assert option.help, name


def test_secrets_in_the_query_are_not_shown() -> None:
    uri = parse("s3://bucket/base?key=me&secret=hidden&token=hidden&client_password=hidden&region=here")
    assert str(uri) == "s3://bucket/base?key=me&secret=***&token=***&client_password=***&region=here"
