# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Instance files of the original, of all its years: read with their meaning, or refused with one sentence and a way."""

from __future__ import annotations

from pathlib import Path

import pytest

from elworkers.config import inherited
from elworkers.config.argument_files import read_lines
from elworkers.config.arguments import Arguments
from elworkers.config.hints import nearest
from elworkers.config.inherited import READ
from elworkers.connectors.registry import check_sink, check_source, check_sources, sink_specs, source_specs
from elworkers.core.errors import ConfigurationError
from elworkers.functions.builtin import BUILTIN
from elworkers.roles.instances import read_instances
from elworkers.roles.report import watched
from elworkers.roles.validate import check_arguments, endpoints

CASES = Path(__file__).parent.parent.parent / "cases" / "instances"
ZEROMQ = "expected kafka:///HOST:PORT?topic=NAME"
REFUSED = {
    "2015-09/forwarders/server-side-raw": f":2: tcp URI: there is no such output here; {ZEROMQ}, from which",
    "2015-09/forwarders/server-side-raw-kafka": f":1: tcp URI: there is no such input here; {ZEROMQ}&identity=GROUP",
    "2016-07/forwarders/legacy-zmq": f":2: tcp URI: there is no such output here; {ZEROMQ}, from which",
    "2017-01/forwarders/legacy-zmq": f":2: tcp URI: there is no such output here; {ZEROMQ}, from which",
}


def read(role: str, *lines: str) -> Arguments:
    return check_arguments(role, read_lines("\n".join(lines).encode(), "FILE", {}))


def refusal(role: str, *lines: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(role, *lines)
    return str(caught.value)


@pytest.mark.parametrize("era", sorted(path.name for path in CASES.iterdir()))
def test_every_file_is_accepted_or_refused_with_the_way(era: str) -> None:
    tree = read_instances(CASES / era, {})
    titles = {f"{era}/{one.role}s/{one.name}" for one in tree.instances}
    refused = {str(Path(broken.error.file or "").relative_to(CASES)): str(broken.error) for broken in tree.invalid}
    files = {str(path.relative_to(CASES)) for path in (CASES / era).rglob("*") if path.is_file()}
    assert titles == files - set(REFUSED) - {"2016-07/services/eventbus"}
    assert set(refused) == files & set(REFUSED)
    for name, text in refused.items():
        assert f"{CASES / name}{REFUSED[name]}" in text


def test_folders_of_others_are_named_once_each() -> None:
    (said,) = read_instances(CASES / "2016-07", {}).unknown_folders
    assert said.startswith(f"{CASES}/2016-07/services: is no role's folder")


def test_a_folder_that_is_nearly_a_roles_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "procesors").mkdir()
    (tmp_path / "procesors" / "one").write_text("no instance\n", encoding="utf-8")
    tree = read_instances(tmp_path, {})
    assert tree.invalid == ()
    assert tree.unknown_folders == (
        f"{tmp_path}/procesors: is no role's folder, and what is in it is passed over; did you mean processors?",
    )


def test_what_means_nothing_here_is_said_once_with_its_places() -> None:
    notes = read_instances(CASES / "2017-01", {}).notes
    (retries,) = [note for note in notes if note.startswith("retries ")]
    assert retries == (
        "retries means nothing here (a write is tried again until it is acknowledged or refused): "
        "processor/client-side-00:5, processor/client-side-00:6"
    )
    assert sum(note.startswith("api_version ") for note in notes) == 1


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("eventlogging_%(schema)s", "eventlogging_{schema}"),
        ("%(schema)s_%(revision)d", "{schema}_{revision}"),
        ("eqiad.{meta[topic]}", "eqiad.{meta.topic}"),
        ("{event[page][id]}", "{event.page.id}"),
        ("{meta.topic}", "{meta.topic}"),
    ],
)
def test_fields_are_written_in_one_way(text: str, topic: str) -> None:
    assert check_sink(f"kafka:///k:1?topic={text}").options["topic"] == topic


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eventlogging_%s(schema)", "position 14 is '%'"),
        ("%(schema)s/x", "position 11 is '/'"),
        ("{schema} x", "position 9 is ' '"),
        ("a{schema}ü", "position 10 is 'ü'"),
        ("%(schema)", "expected %(name)s, or {name}, for each field"),
        ("{schema!r}", "instead of {schema!r}"),
        ("..", "other than '.' and '..'"),
        ("a" * 250, "1 to 249 characters"),
    ],
)
def test_a_topic_that_kafka_would_not_take_is_refused_with_the_position(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_sink(f"kafka:///k:1?topic={text}")
    assert said in str(caught.value)


def test_a_reporter_counts_topics_that_were_written_as_in_2015() -> None:
    tree = read_instances(CASES / "2015-09", {})
    (found,) = watched(instance.arguments for instance in tree.instances).values()
    assert found.valid == {("eventlogging_", "")}
    assert found.invalid == {"eventlogging_EventError"}


@pytest.mark.parametrize("scheme", ["kafka", "kafka-python", "kafka-confluent", "confluent-kafka"])
def test_the_names_of_kafka_clients_are_all_kafka(scheme: str) -> None:
    endpoint = check_source(f"{scheme}:///k1:9092,k2:9092?topics=a&identity=g")
    assert (endpoint.uri.scheme, endpoint.uri.hosts) == ("kafka", ("k1:9092", "k2:9092"))
    assert endpoint.uri.client == ("confluent" if "confluent" in scheme else "")


@pytest.mark.parametrize("text", ["topics=a,b", "topic=a,b", "topics=a,b&topic=c", "topics=a,b,a"])
def test_several_topics_are_inputs_of_one_group(text: str) -> None:
    found = check_sources(f"kafka:///k:1?{text}&identity=g")
    assert [endpoint.options["topic"] for endpoint in found] == ["a", "b"]
    arguments = read("consumer", f"kafka:///k:1?{text}&identity=g", "stdout:")
    assert [one.options["topic"] for one in endpoints(arguments) if one.uri.scheme == "kafka"] == ["a", "b"]
    (what,) = watched([arguments]).values()
    assert what.groups == {("g", "a"), ("g", "b")}


INPUT, OUTPUT = "kafka:///k:1?topic=t&identity=g", "kafka:///k:1?topic=t"


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("enable_auto_commit=False", "auto_commit_enable", False),
        ("enable.auto.commit=true", "auto_commit_enable", True),
        ("auto.commit.interval.ms=1000", "auto_commit_interval_ms", 1000),
        ("auto_offset_reset=smallest", "auto_offset_reset", -2),
        ("auto.offset.reset=largest", "auto_offset_reset", -1),
        ("max_partition_fetch_bytes=2000", "fetch_message_max_bytes", 2000),
        ("fetch_max_wait_ms=7", "fetch_wait_max_ms", 7),
        ("session.timeout.ms=6000", "session_timeout_ms", 6000),
    ],
)
def test_parameters_of_readers_are_read_as_ours(written: str, name: str, value: object) -> None:
    assert check_source(f"{INPUT}&{written}").options[name] == value


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("acks=all", "required_acks", "all"),
        ("acks=0", "required_acks", "1"),
        ("req_acks=-1", "required_acks", "-1"),
        ("compression_type=snappy", "compression", "snappy"),
        ("codec=1", "compression", "gzip"),
        ("async_mode=False", "async", False),
        ("max_request_size=4194304", "max_request_size", 4194304),
        ("producer=keyed", "key", "{schema}_{revision}"),
        ("producer=keyed&key=%(wiki)s", "key", "{wiki}"),
        ("producer=simple&key={wiki}", "key", None),
    ],
)
def test_parameters_of_writers_are_read_as_ours(written: str, name: str, value: object) -> None:
    assert check_sink(f"{OUTPUT}&{written}").options[name] == value


def test_a_batchs_age_is_read_by_its_old_name() -> None:
    options = check_sink("mysql://u@h/log?charset=utf8&batch_size=400&batch_time=7&queue_size=100").options
    assert (options["batch_size"], options["batch_seconds"]) == (400, 7.0)


@pytest.mark.parametrize(
    ("check", "text", "names"),
    [
        (check_sink, f"{OUTPUT}&retries=6&retry_backoff_ms=200", ["retries", "retry_backoff_ms"]),
        (check_sink, f"{OUTPUT}&message.send.max.retries=6,retry.backoff.ms=200", ["message.send.max.retries"]),
        (check_sink, f"{OUTPUT}&identity=x&sync_timeout=10.0", ["identity", "sync_timeout"]),
        (check_sink, f"{OUTPUT}&zookeeper_connect=z:1/k&raw=True", ["zookeeper_connect"]),
        (check_source, f"{INPUT}&async=False&poll_timeout=1.0", ["async", "poll_timeout"]),
        (check_source, f"{INPUT}&ssl_check_hostname=True", ["ssl_check_hostname"]),
        (check_source, "udp://0.0.0.0:8421?socket_id=x", ["socket_id"]),
        (check_source, "kafka:///k:1?brokers=k:1&topic=t&identity=g&bootstrap.servers=x", ["bootstrap.servers"]),
    ],
)
def test_what_means_nothing_here_is_passed_over(check: object, text: str, names: list[str]) -> None:
    endpoint = check(text)  # type: ignore[operator]
    assert [name for name, _ in endpoint.passed] == names
    assert all(why for _, why in endpoint.passed)


def test_brokers_and_group_of_early_2015_are_read() -> None:
    endpoint = check_source("kafka://?brokers=k1:9092,k2:9092&topic=eventlogging&group_id=g")
    assert endpoint.uri.hosts == ("k1:9092", "k2:9092")
    assert endpoint.options["identity"] == "g"
    assert check_sink("kafka://?brokers=k1:9092&topic=t").uri.hosts == ("k1:9092",)


UDP = "udp://0.0.0.0:8421"
DISABLED = "map://kafka:///k:1?topic=eventlogging_{schema}&retries=6&function=eventlogging_schemas_disabled_filter"


@pytest.mark.parametrize(
    ("role", "lines", "said"),
    [
        ("forwarder", ["8421"], "FILE:1: 8421: a port alone was a forwarder from UDP to ZeroMQ"),
        ("forwarder", ["8421", "--count"], "expected udp://0.0.0.0:8421 and, on a line of its own, an output such as"),
        ("forwarder", [UDP, "*:8421"], "FILE:2: *:8421: a port alone was ZeroMQ's"),
        ("multiplexer", ["8600", "8521", "8522"], "FILE:1: 8600: a port alone was ZeroMQ's"),
        ("multiplexer", ["tcp://*:8600", "tcp://127.0.0.1:8521"], "FILE:1: tcp URI: there is no such output here"),
        ("forwarder", [UDP, "tcp://*:8600"], f"FILE:2: tcp URI: there is no such output here; {ZEROMQ}"),
        ("consumer", ["tcp://10.0.0.1:8600?identity=x", "stdout://"], "FILE:1: tcp URI: there is no such input here"),
        ("consumer", ["ipc:///tmp/x", "stdout://"], "FILE:1: ipc URI: there is no such input here"),
        ("consumer", [INPUT, "mongodb://u:p@m:27017/?w=1"], "expected mysql://USER:PASSWORD@HOST/DATABASE or file:///"),
        ("consumer", [INPUT, "statsd://s:8125"], "expected an instance in reporters/ with --host HOST and --port PORT"),
        ("consumer", [f"filter://{INPUT}&function=f", "stdout:"], "FILE:1: filter URI: function=f: there is no such"),
        ("processor", ["%j", INPUT, DISABLED], "it has no list of schemas; expected schemas=NAME,NAME,… as well, or"),
        ("processor", ["%j", INPUT, "mysql://u@h/log"], "FILE:3: mysql URI: only a consumer stores events"),
        ("processor", ["%j", INPUT, OUTPUT, "--output-invalid=sqlite:///x"], "FILE:4: sqlite URI: only a consumer"),
        ("forwarder", [INPUT, "mysql://u@h/log"], "FILE:2: mysql URI: only a consumer stores events"),
        ("multiplexer", ["mysql://u@h/log", INPUT], "FILE:1: mysql URI: only a consumer stores events"),
        ("consumer", [f"{INPUT}&raw=True", "mysql://u@h/log"], "FILE:2: mysql URI: lines of raw=True have no table"),
        ("forwarder", [UDP, "kafka:///k:1?topic={schema}"], "FILE:2: kafka URI: topic, key and blacklist can ask only"),
        ("processor", ["--etcd-uri http://e:2379", "%j", INPUT, OUTPUT], "FILE:1: unknown option --etcd-uri; expected"),
        ("processor", ["--sid", "client-side events", "%j", OUTPUT, OUTPUT], "without blanks, as client-side-events"),
        ("consumer", ["kafka:///k:1?topic=t&identity=all events", "stdout:"], "without blanks, as all-events"),
        ("processor", ["%j", INPUT, "kafka:///k:1"], "topic is missing; expected topic=NAME; the original took"),
        ("processor", ["%j", INPUT, f"{OUTPUT}&ssl_cafile=/x"], "ssl_ca; expected security_protocol=SSL or SASL_SSL"),
        ("processor", ["%j", INPUT, f"{OUTPUT}&ssl_check_hostname=False"], "names of brokers are always checked"),
        ("processor", ["%j", INPUT, f"{OUTPUT}&acks=2"], "option acks='2'; expected one of 1, -1, all"),
        ("consumer", [INPUT, "mysql://u@h/log?batch_time=7&batch_seconds=7"], "batch_time and batch_seconds mean"),
        ("consumer", ["kafka:///k:1?brokers=k:2&topic=t&identity=g", "stdout:"], "before the ? and in brokers="),
    ],
)
def test_what_is_refused_names_line_and_way(role: str, lines: list[str], said: str) -> None:
    told = refusal(role, *lines)
    assert said in told
    assert told.startswith("FILE:")


MIXED = "kafka:///k1:9092,k2:9092?topics=eventlogging-valid-mixed&auto_commit_interval_ms=1000"


@pytest.mark.parametrize(
    ("role", "lines"),
    [
        ("consumer", [f"filter://{MIXED}&api_version=0.9&function=is_not_bot", "mysql://u@h/log?replace=True"]),
        ("consumer", [f"filter://{MIXED}&function=should_insert_event", "mysql://u@h/log?charset=utf8"]),
        ("consumer", [f"map://{MIXED}&function=mysql_mapper", "mysql://u@h/log?charset=utf8&statsd_host=s"]),
        ("consumer", [f"map://{MIXED.replace('kafka:', 'kafka-confluent:')}&function=mysql_mapper", "stdout://"]),
        ("processor", ["%q %{recvFrom}s %{seqId}d %D %{ip}i %u", MIXED, f"{DISABLED}&schemas=Test,Edit"]),
        ("processor", ["%j", MIXED, OUTPUT, f"map://{OUTPUT}&schemas=Edit&function=eventlogging_valid_mixed_filter"]),
    ],
)
def test_functions_that_were_in_use_are_taken(role: str, lines: list[str]) -> None:
    arguments = read(role, "--sid", "g", "--no-plugins", *lines)
    ((_, (wrap,)),) = arguments.functions
    assert wrap.function in BUILTIN


def test_a_reporter_knows_topics_behind_functions() -> None:
    arguments = read("processor", "--sid", "g", "%j", MIXED, f"{DISABLED}&schemas=Test", "--output-invalid")
    (found,) = [what for what in watched([arguments]).values() if what.valid]
    assert (found.valid, found.invalid) == ({("eventlogging_", "")}, {"eventlogging_EventError"})


def test_a_password_of_a_listener_with_a_login_is_not_shown() -> None:
    assert "hunter2" not in refusal("processor", "%j", INPUT, f"{OUTPUT}&sasl_plain_password=hunter2")


def test_options_of_the_original_are_read_or_passed_over() -> None:
    arguments = read("consumer", "--no-plugins", f"{INPUT}&raw=False", "stdout:", "--schemas-path", "/srv/schemas")
    assert arguments["schemas"] == ("/srv/schemas",)
    assert [(one.name, one.location.line) for one in arguments.passed] == [("--no-plugins", 1)]


def test_formats_of_2013() -> None:
    from elworkers.events.fast_parse import FastParser
    from elworkers.events.parse import compile_format

    line = b"?%7B%22event%22%3A%7B%7D%7D; cp1 7 2013-07-03T12:34:56 abc"
    text = "%q %l %n %t %h"
    event = {"event": {}, "recvFrom": "cp1", "seqId": 7, "timestamp": 1372854896, "clientIp": "abc"}
    assert compile_format(text)(line) == event
    assert FastParser(text).read(line) in (None, event)


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("batch_time", ["batch_size", "batch_seconds"], "batch_seconds"),
        ("batch-interval", ["batch-size", "batch-seconds"], "batch-seconds"),
        ("batch_records", ["batch_size", "batch_seconds"], "batch_size"),
        ("--cuont", ["--count", "--sid"], "--count"),
        ("zzz", ["--count"], None),
    ],
)
def test_hints_know_what_words_mean(name: str, known: list[str], meant: str | None) -> None:
    assert nearest(name, known) == meant


@pytest.mark.parametrize(("tables", "ours"), [(inherited.INPUTS, source_specs()), (inherited.OUTPUTS, sink_specs())])
def test_every_name_is_read_as_one_that_there_is(tables: object, ours: object) -> None:
    for scheme, ways in tables.items():  # type: ignore[attr-defined]
        for name, way in ways.items():
            assert name not in ours[scheme].options, "it would be taken first"  # type: ignore[index]
            assert way.does != READ or way.text in ours[scheme].options, name  # type: ignore[index]
