# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Faults of connectors that others have written: each is one sentence that names the connector and its distribution."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from elworkers.config.argument_files import Argument
from elworkers.connectors.registry import check_sink, check_source, check_storage
from elworkers.control import init
from elworkers.control.paths import Paths
from elworkers.core.errors import ConfigurationError
from elworkers.core.metrics import Counters
from elworkers.roles.build import PipelineBuilder
from elworkers.roles.validate import check_arguments

PRELUDE = """
from pathlib import Path
from elworkers.config.options import RAW
from elworkers.config.uris import Option
from elworkers.connectors.connector import Connector, SinkSpec, SourceSpec
from elworkers.connectors.storage import StorageSpec

def fails(*_):
    return {}["planted"]
"""
TOPIC = "topic=Option(str, 't', 'h'), partitions=Option(int, 1, 'h'), replication=Option(int, 1, 'h')"
_numbers = itertools.count()


def install(site: Path, source: str = "", sink: str = "", storage: str = "") -> str:
    """A distribution `faulty` 2.1 with a connector; how messages name it."""
    module = f"module_of_faulty_{next(_numbers)}"
    specs = "".join(
        f", {name}={text}" for name, text in (("source", source), ("sink", sink), ("storage", storage)) if text
    )
    code = f"{PRELUDE}\nFAULTY = Connector('faulty'{specs})\n"
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / "faulty-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: faulty\nVersion: 2.1\n", encoding="utf-8")
    entry = f"[elworkers.connectors]\nfaulty = {module}:FAULTY\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    return f"faulty URI: its connector {module}:FAULTY of faulty 2.1 "


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "SourceSpec({}, open=fails, extra='htp')",
            "has extra='htp'; expected None or an extra of elworkers: dev",
        ),
        ("SinkSpec({}, open=fails)", "has source=SinkSpec(…); expected a SourceSpec"),
        ("SourceSpec({})", "has a source without open= and listener="),
        ("SourceSpec(['raw'], open=fails)", "has options=['raw']; expected a mapping of names to Option"),
        ("SourceSpec({'raw': bool}, open=fails)", "has options={'raw': <class 'bool'>}; expected a mapping"),
        (
            "SourceSpec({'topic': Option(str, 't', 'h')}, open=fails, brokers=lambda endpoint: ['h:1'])",
            "has brokers= without the options partitions and replication",
        ),
        ("SourceSpec({}, open=fails, check=fails)", "fails in check= (KeyError: 'planted')"),
        ("SourceSpec({}, open=fails, expand=fails)", "fails in expand= (KeyError: 'planted')"),
        ("SourceSpec({}, open=fails, address=fails)", "fails in address= (KeyError: 'planted')"),
        ("SourceSpec({}, open=fails, path=fails)", "fails in path= (KeyError: 'planted')"),
        (f"SourceSpec(dict({TOPIC}), open=fails, brokers=fails)", "fails in brokers= (KeyError: 'planted')"),
        ("SourceSpec({'x': Option(fails, 1, 'h')}, open=fails)", "fails in its options (KeyError: 'planted')"),
        (
            "SourceSpec({}, open=fails, expand=lambda endpoint: [])",
            "gives [] for expand=; expected at least one",
        ),
        ("SourceSpec({}, open=fails, address=lambda endpoint: 'h:1')", "gives 'h:1' for address=; expected an Address"),
        ("SourceSpec({}, open=fails, path=lambda endpoint: '/f')", "gives '/f' for path=; expected a Path or None"),
        (
            f"SourceSpec(dict({TOPIC}), open=fails, brokers=lambda endpoint: 'h:1')",
            "gives 'h:1' for brokers=; expected a list of HOST:PORT",
        ),
    ],
)
def test_an_input_that_is_wrong(site: Path, source: str, said: str) -> None:
    named = install(site, source)
    with pytest.raises(ConfigurationError) as caught:
        check_source("faulty:?x=1" if "'x'" in source else "faulty:")
    assert str(caught.value).startswith(named + said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ("SourceSpec({}, open=fails)", "has sink=SourceSpec(…); expected a SinkSpec"),
        ("SinkSpec({}, open=None)", "has a sink without open="),
        ("SinkSpec({}, open=fails, check=fails)", "fails in check= (KeyError: 'planted')"),
        ("SinkSpec({}, open=fails, normalize=fails)", "fails in normalize= (KeyError: 'planted')"),
        ("SinkSpec({}, open=fails, normalize=lambda endpoint: None)", "gives None for normalize=; expected a mapping"),
        ("SinkSpec({}, open=fails, required_fields=fails)", "fails in required_fields= (KeyError: 'planted')"),
        (
            "SinkSpec({}, open=fails, required_fields=lambda endpoint: 'schema')",
            "gives 'schema' for required_fields=; expected a frozenset of names",
        ),
    ],
)
def test_an_output_that_is_wrong(site: Path, sink: str, said: str) -> None:
    named = install(site, sink=sink)
    with pytest.raises(ConfigurationError) as caught:
        check_sink("faulty:")
    assert str(caught.value).startswith(named + said)


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("SinkSpec({}, open=fails)", "has storage=SinkSpec(…); expected a StorageSpec"),
        ("StorageSpec({}, open=None)", "has a storage without open="),
        ("StorageSpec({}, open=fails, check=fails)", "fails in check= (KeyError: 'planted')"),
        ("StorageSpec({'x': Option(fails, 1, 'h')}, open=fails)", "fails in its options (KeyError: 'planted')"),
    ],
)
def test_a_folder_of_importers_that_is_wrong(site: Path, storage: str, said: str) -> None:
    named = install(site, storage=storage)
    with pytest.raises(ConfigurationError) as caught:
        check_storage("faulty://h/p?x=1" if "'x'" in storage else "faulty://h/p")
    assert str(caught.value).startswith(named + said)


def test_one_without_anything_is_wrong(site: Path) -> None:
    named = install(site)
    with pytest.raises(ConfigurationError) as caught:
        check_source("faulty:")
    assert str(caught.value) == f"{named}has neither source= nor sink= nor storage="


def test_a_check_of_records_that_fails_is_an_error_of_the_file_and_line(site: Path) -> None:
    named = install(site, sink="SinkSpec({}, open=fails, check_records=fails)")
    with pytest.raises(ConfigurationError) as caught:
        check_arguments("forwarder", [Argument("stdin:", "f", 1), Argument("faulty:", "f", 2)])
    assert str(caught.value) == f"f:2: {named}fails in check_records= (KeyError: 'planted')"


@pytest.mark.parametrize(
    ("sink", "error", "said"),
    [
        ("SinkSpec({}, open=fails)", RuntimeError, "fails in open= (KeyError: 'planted')"),
        (
            "SinkSpec({}, open=lambda *_: None)",
            ConfigurationError,
            "gives None for open=; expected what it opens",
        ),
    ],
)
def test_a_worker_names_the_connector_that_has_crashed_it(
    site: Path, sink: str, error: type[Exception], said: str
) -> None:
    named = install(site, sink=sink)
    with pytest.raises(error) as caught:
        PipelineBuilder(Counters()).output(check_sink("faulty:"))
    assert str(caught.value) == named + said


@pytest.mark.parametrize(
    "source",
    [
        "SourceSpec({}, open=fails, extra='htp')",
        "SourceSpec({}, open=fails, address=fails)",
        f"SourceSpec(dict({TOPIC}), open=fails, brokers=fails)",
        f"SourceSpec(dict({TOPIC}), open=fails, brokers=lambda endpoint: None)",
    ],
)
def test_instance_files_without_it_are_provisioned(site: Path, source: str, tmp_path: Path) -> None:
    named = install(site, source)
    folder = tmp_path / "etc" / "forwarders"
    folder.mkdir(parents=True)
    (folder / "broken").write_text("faulty:\nstdout:\n", encoding="utf-8")
    (folder / "fine").write_text("udp://127.0.0.1:1\nstdout:\n", encoding="utf-8")
    tree = init.provision(Paths(tmp_path / "etc", tmp_path / "run", tmp_path / "bin"))
    assert [instance.title for instance in tree.instances] == ["forwarder/fine"]
    (broken,) = tree.invalid
    assert f"{folder}/broken:1: {named}" in str(broken.error)


def test_the_errors_of_a_connector_that_are_meant_stay_as_they_are(site: Path) -> None:
    sys.modules.pop("module_that_refuses", None)
    code = """
from elworkers.connectors.connector import Connector, SinkSpec
from elworkers.core.errors import ConfigurationError, RetryableError

def check(endpoint):
    raise ConfigurationError("faulty URI: expected faulty:/PATH")

FAULTY = Connector("faulty", sink=SinkSpec({}, open=print, check=check))
"""
    (site / "module_that_refuses.py").write_text(code, encoding="utf-8")
    info = site / "faulty-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: faulty\nVersion: 2.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[elworkers.connectors]\nfaulty = module_that_refuses:FAULTY\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationError) as caught:
        check_sink("faulty:")
    assert str(caught.value) == "faulty URI: expected faulty:/PATH"
