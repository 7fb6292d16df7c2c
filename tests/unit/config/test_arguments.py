# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Instance files and command lines: what the reader takes, and what it says where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elworkers.config.argument_files import environment, read_command_line, read_lines
from elworkers.config.arguments import Arguments, parse
from elworkers.config.role_help import help_text
from elworkers.core.errors import ConfigurationError
from elworkers.core.passwords import without_passwords
from elworkers.roles import ROLES, module
from elworkers.roles.instances import read_instances
from elworkers.roles.validate import check_arguments

CLIENT_SIDE = b"""--sid
eventlogging-00
%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i
kafka:///k1:9092,k2:9092?topic=eventlogging-client-side&zookeeper_connect=zk1:2181&auto_commit_enable=True&auto_commit_interval_ms=10000&auto_offset_reset=-1
kafka:///k1:9092,k2:9092?topic=eventlogging_{schema}
kafka:///k1:9092,k2:9092?topic=eventlogging-valid-mixed&blacklist=^(Edit|MobileWikiAppSearch)$
--output-invalid
"""


def read(role: str, text: str | bytes, env: dict[str, str] | None = None) -> Arguments:
    data = text if isinstance(text, bytes) else text.encode()
    return check_arguments(role, read_lines(data, "FILE", env or {}))


def refusal(role: str, text: str | bytes, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(role, text, env)
    return str(caught.value)


def test_an_instance_of_2016() -> None:
    arguments = read("processor", CLIENT_SIDE)
    assert arguments["sid"] == "eventlogging-00"
    assert arguments["format"] == "%q %{recvFrom}s %{seqId}d %t %o %{userAgent}i"
    assert len(arguments["output"]) == 2
    assert arguments["output_invalid"] == ""


def test_blank_lines_comments_and_crlf_are_passed_over() -> None:
    plain = "udp://0.0.0.0:8421\nstdout:\n--count\n"
    dressed = "# a forwarder\r\n\r\n  udp://0.0.0.0:8421 \r\n\t\r\nstdout:\r\n--count\r\n# the end"
    assert read("forwarder", dressed).values == read("forwarder", plain).values


def test_a_password_comes_out_of_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p%2Fw d9\n", encoding="utf-8")
    arguments = read("consumer", f"kafka:///k:1?topic=t&identity=g\nmysql://u:${{file:{secret}}}@h/db")
    assert arguments["output"] == "mysql://u:p%2Fw d9@h/db"
    assert without_passwords("somebody says p%2Fw d9, or p/w d9") == "somebody says ***, or ***"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "holds something else; expected one line of 1 to 10000 characters"),
        (b"two\nlines", "holds something else"),
        (b"x" * 10_001, "holds something else"),
        (b"nul\0", "holds something else"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_holds_no_password_is_named(content: bytes | None, says: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    said = refusal("consumer", f"stdin:\nmysql://u:${{file:{secret}}}@h/db")
    assert said.startswith(f"FILE:2: ${{file:{secret}}} {says}")
    assert "FILE:1: ${file:…} is not an absolute path" in refusal("consumer", "${file:secret}\nstdout:")


def test_a_password_in_a_file_for_everybody_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p9ssword", encoding="utf-8")
    (tmp_path / "consumers").mkdir()
    for name, password in {
        "literal": "s3cret",
        "default": "${env:NO_SUCH:-s3cret}",
        "variable": "${env:SECRET}",
        "file": f"${{file:{tmp_path}/secret}}",
    }.items():
        path = tmp_path / "consumers" / name
        path.write_text(f"kafka:///k:1?topic=t&identity=g\nmysql://u:{password}@h/db\n", encoding="utf-8")
        path.chmod(0o644)
    env = {"SECRET": "s3cret"}
    assert [(one.name, one.exposed) for one in read_instances(tmp_path, env).instances] == [
        ("default", 2),
        ("file", None),
        ("literal", 2),
        ("variable", None),
    ]
    assert [warning.partition(":2: ")[2] for warning in read_instances(tmp_path, env).warnings] == [
        "a password stands in a file that everybody on this host may read; "
        "take that right away, or write ${file:/PATH} in its place"
    ] * 2
    (tmp_path / "consumers" / "literal").chmod(0o640)
    assert len(read_instances(tmp_path, env).warnings) == 1


@pytest.mark.parametrize("text", ["--workers 3", "--workers=3", "--workers\t3", "--workers = 3", "--workers\n3"])
def test_a_value_stands_on_the_options_line_or_the_next(text: str) -> None:
    consumer = f"kafka:///k:1?topic=t&identity=g\n{text}\nstdout:\n"
    if text == "--workers = 3":
        assert "expected a whole number" in refusal("consumer", consumer)
    else:
        assert read("consumer", consumer)["workers"] == 3


def test_only_the_first_blank_or_equals_sign_splits() -> None:
    assert read("reporter", "--prefix=a=b c")["prefix"] == "a=b c"


def test_options_stand_anywhere_between_the_positionals() -> None:
    first = read("consumer", "--workers=2\n--sid\ng\nkafka:///k:1?topic=t\nstdout:")
    last = read("consumer", "kafka:///k:1?topic=t\n--sid=g\nstdout:\n--workers\n2")
    assert first.values == last.values


def test_an_optional_value_does_not_swallow_the_next_line() -> None:
    text = "%j\nkafka:///k:1?topic=t&identity=g\n--output-invalid\nkafka:///k:1?topic=out"
    arguments = read("processor", text)
    assert arguments["output"] == ("kafka:///k:1?topic=out",)
    assert arguments["output_invalid"] == ""
    with_value = read("processor", f"{text}\n".replace("--output-invalid", "--output-invalid stdout:"))
    assert with_value["output_invalid"] == "stdout:"


def test_a_repeatable_option_keeps_its_order() -> None:
    text = "kafka:///k:1?topic=t&identity=g\nstdout:\n--schemas /b\n--schemas=/a"
    assert read("consumer", text)["schemas"] == ("/b", "/a")


@pytest.mark.parametrize(
    ("role", "text", "said"),
    [
        ("forwarder", "udp://:1\nstdout:\n--cuont", "FILE:3: unknown option --cuont; did you mean --count?"),
        ("forwarder", "udp://:1\nstdout:\n--co", "FILE:3: unknown option --co"),
        ("forwarder", "udp://h:1\nstdout:\n--count=3", "FILE:3: --count takes no value; got '3'"),
        ("consumer", "--sid\n--workers=2", "FILE:1: --sid has no value; expected one on its line or the next"),
        ("consumer", "--sid", "FILE:1: --sid has no value"),
        ("consumer", "--workers=0", "FILE:1: --workers '0'; expected a whole number of at least 1"),
        ("consumer", "--stop-timeout=soon", "FILE:1: --stop-timeout 'soon'; expected a positive number of seconds"),
        ("consumer", "--workers=1\n--workers=2", "FILE:2: --workers is given twice; expected it once"),
        ("consumer", "stdin:", "FILE: OUTPUT is missing; expected eventlogging-consumer INPUT OUTPUT [--option…]"),
        ("consumer", "stdin:\nstdout:\nstdout:", "FILE:3: 'stdout:' is one argument too many"),
        ("consumer", "stdni:\nstdout:", "FILE:1: no input has the scheme 'stdni'; did you mean 'stdin'?"),
        ("consumer", "stdin:\nkafka:///k:1", "FILE:2: kafka URI: option topic is missing"),
        ("consumer", "kafka:///k:1?topic=t\nstdout:", "FILE:1: kafka URI: no consumer group"),
        ("consumer", "--sid=a\nkafka:///k:1?topic=t&identity=b\nstdout:", "FILE:2: --sid a and identity=b name diff"),
        ("processor", "%j %x\nstdin:\nstdout:", "FILE:1: format '%j %x': '%x' at position 4 is no specifier"),
        ("processor", "%t\nstdin:\nstdout:", "FILE:1: format '%t' has no capsule; expected %j or %q in it"),
        (
            "processor",
            "%j\nstdin:\nstdout:\n--output-invalid=nowhere:",
            "FILE:4: no output has the scheme 'nowhere'; expected one of file, kafka",
        ),
        ("processor", "%j\nstdin:\nkafka:///k:1?topic={sch ema}", "FILE:3: kafka URI: option topic='{sch ema}'"),
        ("forwarder", "udp://0.0.0.0:99999\nstdout:", "FILE:1: udp URI: the port 99999 of '0.0.0.0'"),
        (
            "forwarder",
            "udp://0.0.0.0:1\nstdout:\n--workers=2",
            "FILE: --workers 2: this input works with 1 worker only",
        ),
        ("consumer", b"stdin:\nfile:///\xff\xfe", "FILE:2: byte 9 of the line is not UTF-8"),
        ("consumer", b"stdin:\nfile:///a\0b", "FILE:2: the line holds a NUL byte"),
        ("consumer", "${env:NOT_SET}\nstdout:", "FILE:1: the variable NOT_SET is not set"),
        (
            "consumer",
            "--workers=1\nstdin:\nmysql://u@h/log",
            "FILE:2: stdin URI: there is no output for records that OUTPUT rejects; expected --output-invalid URI, as",
        ),
        ("consumer", "file:///dev/null\nstdout:", "FILE:1: file URI: there is no output for records that OUTPUT"),
        ("consumer", "udp://h:1\nudp://h:2", "FILE:1: udp URI: there is no output for records that OUTPUT rejects"),
        ("consumer", "stdin:\nstdout:\n--output-invalid\nnowhere:", "FILE:3: no output has the scheme 'nowhere'"),
        (
            "consumer",
            "stdin:\nstdout:\n--output-invalid=sqlite:///db",
            "FILE:3: --output-invalid sqlite:///db: expected a Kafka topic or a file;",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(role: str, text: str | bytes, said: str) -> None:
    told = refusal(role, text).replace("udp://0.0.0.0:99999: ", "udp URI: ")
    assert told.startswith(said), told


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("consumer", "stdin:\nstdout:\n--output-invalid=file:///refused"),
        ("consumer", "stdin:\nkafka:///k:1?topic=t"),
        ("consumer", "stdin:?raw=True\nfile:///lines"),
        ("consumer", "file:///lines\nstdout:"),
        ("consumer", "kafka:///k:1?topic=t&identity=g\nstdout:"),
        ("forwarder", "stdin:\nstdout:"),
    ],
)
def test_what_has_a_place_for_refused_records_needs_no_other(role: str, text: str) -> None:
    assert read(role, text).values.get("output_invalid") in (None, "file:///refused")


@pytest.mark.parametrize("value", ["=file:///x", "\nfile:///x"])
def test_an_importer_takes_a_place_for_refused_records_and_says_that_it_needs_none(value: str) -> None:
    (passed,) = read("importer", f"kafka:///k:1\n--output-invalid{value}\nfile:///base").passed
    assert (passed.name, passed.location.line) == ("--output-invalid", 2)
    assert "an importer refuses no message" in passed.why


def test_a_password_is_in_no_error() -> None:
    for uri in (
        "mysql://user:hunter2@host/db?bad=1",
        "mysql://user:hunter2@host:port/db",
        "mysql://user:hunter2@host",
        "mysql://user:hun/ter2@host/db",
        "mysq://user:hunter2@host/db",
        "mysql:user:hunter2@host/db",
    ):
        assert "ter2" not in refusal("consumer", f"stdin:\n{uri}"), uri


def test_variables_come_from_the_environment_then_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("A_HOST=from-file\nA_PORT=1\n# A_PORT=2\nwithout equals\n", encoding="utf-8")
    monkeypatch.setenv("A_HOST", "from-environment")
    env = environment(tmp_path)
    lines = read_lines(b"${env:A_HOST}:${env:A_PORT:-9}\n${env:A_THIRD:-default}\n${env:A_THIRD:-}x", "FILE", env)
    assert [line.text for line in lines] == ["from-environment:1", "default", "x"]


def test_a_file_on_the_command_line_stands_for_its_lines(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    instance.write_text("stdin:\nstdout:\n", encoding="utf-8")
    words = read_command_line([f"@{instance}", "--workers=1"], {})
    assert [(word.text, word.line) for word in words] == [("stdin:", 1), ("stdout:", 2), ("--workers=1", None)]
    with pytest.raises(ConfigurationError, match="nowhere: cannot be read: No such file"):
        read_command_line([f"@{tmp_path}/nowhere"], {})


@pytest.mark.parametrize("role", ROLES)
def test_the_help_names_every_argument(role: str) -> None:
    spec = module(role).SPEC
    text = help_text(spec)
    for option in spec.options:
        assert option.flag in text
    for positional in spec.positionals:
        assert positional.name.upper() in text


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_read_or_refused_with_their_place(data: bytes) -> None:
    data = b"%j\n" + data
    try:
        parse(module("processor").SPEC, read_lines(data, "FILE", {}))
    except ConfigurationError as error:
        assert error.file == "FILE"  # noqa: PT017 - what is read without an error is fine too


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("0.0", 0.0), ("0.05", 0.05), ("2", 2.0)])
def test_a_batch_may_wait_for_more(text: str, expected: float) -> None:
    assert read("processor", CLIENT_SIDE + f"--linger {text}\n".encode())["linger"] == expected
    assert read("processor", CLIENT_SIDE)["linger"] == 0.0


@pytest.mark.parametrize("text", ["-1", "soon", "1e3", ""])
def test_what_is_no_wait_is_refused_with_what_was_expected(text: str) -> None:
    said = refusal("processor", CLIENT_SIDE + f"--linger={text}\n".encode())
    assert "FILE:8" in said
    assert "--linger" in said
    assert "expected a number of seconds, 0 or more" in said or "without a value" in said
