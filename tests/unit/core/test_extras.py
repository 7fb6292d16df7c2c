# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What an operator is told who wants something that a smaller installation does not have."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest
from declared import by_extra
from packaging.utils import canonicalize_name

from elworkers.config.argument_files import Argument
from elworkers.core.errors import EX_CONFIG, ConfigurationError
from elworkers.core.extras import EXTRAS
from elworkers.devserver import __main__ as devserver
from elworkers.devstack import __main__ as devstack
from elworkers.roles.instances import read_instances
from elworkers.roles.validate import check_arguments

KAFKA = "kafka:///k:9092?topics=t"
HTTP, BASE, PARQUET = "http://0.0.0.0:8080/beacon/event", "file:///srv/events", "--format=parquet"


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let the program not find a package, as Python itself marks one that is not there."""
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_asked_for_by_all_that_it_brings(extra: str) -> None:
    imported_as = importlib.metadata.packages_distributions()
    found = {canonicalize_name(one) for name in EXTRAS[extra] for one in imported_as[name]}
    assert found == {canonicalize_name(one.name) for one in by_extra(extra)}


def test_all_is_all() -> None:
    everything = {one.name for extra in EXTRAS for one in by_extra(extra)}
    assert {one.name for one in by_extra("all")} == everything


@pytest.mark.parametrize(
    ("extra", "package", "command", "line"),
    [
        ("http", "aiohttp", ["forwarder", HTTP, "stdout:"], 1),
        ("hdfs", "fsspec", ["importer", KAFKA, "hdfs://nn:9870/events"], 2),
        ("hdfs", "fsspec", ["importer", KAFKA, "s3://bucket/events"], 2),
        ("parquet", "pyarrow", ["importer", KAFKA, BASE, PARQUET], 3),
        ("parquet", "fsspec", ["importer", KAFKA, BASE, PARQUET], 3),
    ],
)
def test_what_is_not_installed_is_refused_at_the_start_and_by_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, package: str, command: list[str], line: int
) -> None:
    role, *words = command
    file = tmp_path / f"{role}s" / "some"
    file.parent.mkdir()
    file.write_text("\n".join(words) + "\n", encoding="utf-8")
    whole = read_instances(tmp_path, {})
    assert [one.name for one in whole.instances] == ["some"]
    without(monkeypatch, package)
    (broken,) = read_instances(tmp_path, {}).invalid
    with pytest.raises(ConfigurationError) as caught:
        check_arguments(role, [Argument(word, str(file), number) for number, word in enumerate(words, 1)])
    assert str(caught.value) == str(broken.error)
    assert str(broken.error).startswith(f"{file}:{line}: ")
    sentence = f" needs the extra {extra}: pip install 'elworkers[{extra}]' ({package} is not installed)"
    assert str(broken.error).endswith(sentence)


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("forwarder", ["udp://0.0.0.0:8421", "kafka:///k:9092?topic=t"]),
        ("forwarder", ["varnish:///frontend", "kafka:///k:9092?topic=t"]),
        ("processor", ["%j", "kafka:///k:9092?topic=t&identity=g", "kafka:///k:9092?topic=u"]),
        ("consumer", ["kafka:///k:9092?topic=t&identity=g", "mysql://u:p@h/log"]),
        ("consumer", ["kafka:///k:9092?topic=t&identity=g", "sqlite:////tmp/events"]),
    ],
)
def test_nothing_else_needs_an_extra(monkeypatch: pytest.MonkeyPatch, role: str, words: list[str]) -> None:
    for package in {name for names in EXTRAS.values() for name in names}:
        without(monkeypatch, package)
    found = check_arguments(role, [Argument(word) for word in words])
    assert [one for some in found.locations.values() for one in some] == [Argument(word) for word in words]


@pytest.mark.parametrize("command", [devserver, devstack])
def test_a_command_for_developers_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: object
) -> None:
    without(monkeypatch, "rich")
    without(monkeypatch, "jgo")
    assert command.main() == EX_CONFIG  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    assert "needs the extra dev: pip install 'elworkers[dev]' (rich, jgo are not installed)" in said
