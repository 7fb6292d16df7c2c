# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Connectors of others, found by their entry points; among them the one of docs/extending.md."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from elworkers.connectors.registry import check_sink, check_source
from elworkers.core.errors import ConfigurationError
from elworkers.core.metrics import Counters
from elworkers.roles.build import PipelineBuilder

PAGE = Path(__file__).parents[3] / "docs" / "extending.md"

OURS = """
from elworkers.connectors.connector import Connector, SourceSpec

class Source:
    exhausted = False
    replayable = durable = idle = False
    def poll(self, limit, timeout_s): return []
    def commit(self, positions): pass
    def close(self): pass

OURS = Connector("ours", source=SourceSpec({}, open=lambda endpoint, worker, offsets: Source()))
OTHER = Connector("other", source=OURS.source)
"""


def install(site: Path, module: str, code: str, entry_points: str) -> None:
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {module}\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[elworkers.connectors]\n{entry_points}", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_installed_connector_is_used_by_its_scheme(site: Path) -> None:
    install(site, "module_of_ours", OURS, "ours = module_of_ours:OURS\n")
    source = PipelineBuilder(Counters()).source(check_source("ours:"))
    assert type(source).__module__ == "module_of_ours"
    with pytest.raises(ConfigurationError, match="ours URI: unknown option 'x'; known: none"):
        check_source("ours:?x=1")
    with pytest.raises(ConfigurationError, match="no output has the scheme 'ours'"):
        check_sink("ours:")
    with pytest.raises(ConfigurationError, match="no input has the scheme 'uors'; did you mean 'ours'"):
        check_source("uors:")


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("module_that_is_not_there:X", "ModuleNotFoundError"),
        ("module_that_breaks:NONE", "AttributeError"),
        ("module_that_ends:X", "SystemExit"),
        ("module_that_breaks:FIVE", "is 5; expected a Connector of the scheme 'broken'"),
        ("module_that_breaks:OTHER", "is one of the scheme 'other'; expected"),
    ],
)
def test_a_broken_one_is_an_error_only_of_who_uses_it(site: Path, entry: str, named: str) -> None:
    install(site, "module_that_breaks", f"{OURS}\nFIVE = 5\n", f"broken = {entry}\n")
    (site / "module_that_ends.py").write_text("raise SystemExit('no')\n", encoding="utf-8")
    for module in ("module_that_breaks", "module_that_ends"):
        sys.modules.pop(module, None)
    assert check_source("stdin:").uri.scheme == "stdin"
    with pytest.raises(ConfigurationError, match="no input has the scheme 'nothing'"):
        check_source("nothing:")
    assert "module_that_breaks" not in sys.modules
    with pytest.raises(ConfigurationError, match=f"broken URI: its connector {entry} .*{named}"):
        check_source("broken:")


def test_one_that_cannot_check_is_an_error_of_the_instance_that_has_it(site: Path) -> None:
    fails = "fails = Connector('fails', source=SourceSpec({}, open=print, check=lambda endpoint: {}['x']))\n"
    install(site, "module_that_fails", f"{OURS}\n{fails}", "fails = module_that_fails:fails\n")
    with pytest.raises(ConfigurationError, match=r"fails of module_that_fails 1 fails in check= \(KeyError: 'x'\)"):
        check_source("fails:")


def test_an_output_may_have_options_that_mean_something_else_for_kafka(site: Path) -> None:
    code = """
from elworkers.config.options import RAW
from elworkers.config.uris import Option
from elworkers.connectors.connector import Connector, SinkSpec
THEIRS = Connector("theirs", sink=SinkSpec({"raw": RAW, "topic": Option(str, "a{b", "t")}, open=print))
"""
    install(site, "module_with_a_topic", code, "theirs = module_with_a_topic:THEIRS\n")
    builder, endpoint = PipelineBuilder(Counters()), check_sink("theirs:")
    assert (builder.required_fields(endpoint), builder.is_raw(endpoint)) == (frozenset(), True)


def test_a_scheme_of_ours_is_not_replaced(site: Path) -> None:
    install(site, "module_of_theirs", OURS, "stdin = module_of_theirs:OURS\n")
    assert check_source("stdin:").spec.open is not None
    assert "module_of_theirs" not in sys.modules


def test_the_example_of_the_documentation_works_as_it_stands_there(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    code, project = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("python", "toml"))  # type: ignore[index]
    entry = project.partition('"elworkers.connectors"]\n')[2].replace('"', "")
    assert entry
    install(tmp_path, "elworkers_unix", code, entry)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken:
        taken.bind(str(tmp_path / "s"))
        taken.settimeout(20)
        forwarder = [
            sys.executable,
            "-c",
            "from elworkers.__main__ import forwarder; raise SystemExit(forwarder())",
            "stdin:",
        ]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

        def run(output: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                [*forwarder, output], input=b"one\ntwo\n", env=environment, capture_output=True, check=False, timeout=60
            )

        done = run(f"unix://{tmp_path}/s?timeout_seconds=10")
        assert done.returncode == 0, done.stderr
        assert [taken.recv(100), taken.recv(100)] == [b"one", b"two"]
    wrong = run("unix:///s?timeout_second=1")
    assert (wrong.returncode, b"did you mean 'timeout_seconds'" in wrong.stderr) == (78, True)
