# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong with one topic's folder, manifest or messages holds up no other topic, and is imported when mended."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import modern
import pytest
import requests
from importing import Job, by_folder, events, expected, hidden, lines, paths, produce, run_and_kill, stored
from topology import free_port

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.registry import check_storage
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.importer import quarantine, store
from elworkers.importer.hours import HOUR_MS
from elworkers.importer.importer import Importer
from elworkers.importer.journal import Journal
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.storage_errors import PathRejectedError, message
from elworkers.importer.store import Store
from elworkers.importer.topic_selection import folders

Unique = Callable[[str], str]


@pytest.fixture(params=["hdfs", "file"])
def base(request: pytest.FixtureRequest, tmp_path: Path, unique: Unique) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/base"
    return f"{request.getfixturevalue('webhdfs')}/{unique('base')}"


class Site:
    """An importer of two topics, `bad` and `good`, in one process from run to run."""

    def __init__(self, kafka: str, base: str, name: str, folder: Path) -> None:
        self.kafka, self.base = kafka, base
        self.bad, self.good = f"eventlogging_{name}Bad", f"eventlogging_{name}Good"
        self.metrics = Counters()
        job = Job(kafka, base, f"{self.bad}|{self.good}", folder)
        self.importer: Importer = job.made(self.metrics)
        self.reader = driver().reader([kafka])
        self.sent: dict[str, list[dict[str, Any]]] = {self.bad: [], self.good: []}

    def send(self, topic: str, count: int) -> None:
        some = events(count)
        produce(self.kafka, topic, lines(some), partitions=1)
        self.sent[topic] += some

    def run(self) -> int:
        return self.importer.run(self.reader, lambda _done, _total: True, everything=True)

    def has(self, topic: str) -> bool:
        name = topic.removeprefix("eventlogging_")
        found = {folder: uuids for folder, uuids in by_folder(self.base).items() if folder.startswith(f"{name}/")}
        return found == expected(name, self.sent[topic])

    def close(self) -> None:
        self.reader.close()
        self.importer.close()


@pytest.fixture
def site(kafka: str, base: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # A run looks again at once.
    monkeypatch.setattr(quarantine, "_FIRST_PAUSE_S", 0.0)
    made = Site(kafka, base, unique("Test"), tmp_path / "staging")
    yield made
    made.close()


@pytest.fixture
def on_hdfs(
    kafka: str, webhdfs: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setattr(quarantine, "_FIRST_PAUSE_S", 0.0)
    made = Site(kafka, f"{webhdfs}/{unique('base')}", unique("Test"), tmp_path / "staging")
    yield made
    made.close()


def path_of(base: str, path: str) -> str:
    return f"{fsspec.url_to_fs(base)[1]}/{path}"


def put(base: str, path: str, content: bytes) -> None:
    files, _ = fsspec.url_to_fs(base)
    target = path_of(base, path)
    files.makedirs(target.rpartition("/")[0], exist_ok=True)
    files.pipe_file(target, content)


def remove(base: str, path: str) -> None:
    fsspec.url_to_fs(base)[0].rm(path_of(base, path), recursive=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b'{"next": "x"}', b'{"next": 3, "files": [{"a": 1}]}'])
def test_a_manifest_that_is_none_stands_its_topic_still(site: Site, content: bytes) -> None:
    site.send(site.bad, 5)
    site.send(site.good, 7)
    manifest = f"_importer/{site.bad}/0.0-3.json"
    put(site.base, manifest, content)
    assert site.run() == 5
    assert site.has(site.good)
    assert manifest in site.metrics.aside[f"topic {site.bad}"]
    remove(site.base, manifest)
    assert site.run() == 0
    assert site.has(site.bad)
    assert not site.metrics.aside


def test_a_file_in_the_place_of_a_folder_stands_its_topic_still(site: Site) -> None:
    name = site.bad.removeprefix("eventlogging_")
    site.send(site.bad, 5)
    site.send(site.good, 7)
    put(site.base, name, b"")
    assert site.run() == 5
    assert site.has(site.good)
    assert f"topic {site.bad}" in site.metrics.aside
    site.send(site.good, 7)
    site.send(site.bad, 5)
    assert site.run() == 10
    assert site.has(site.good)
    remove(site.base, name)
    assert site.run() == 0
    assert site.has(site.bad)
    assert not site.metrics.aside


class Administrator:
    """Whoever may do anything on an HDFS.

    Args:
        webhdfs: its URL.
    """

    def __init__(self, webhdfs: str) -> None:
        self._url = f"{webhdfs.replace('webhdfs://eventlogging@', 'http://')}/webhdfs/v1"
        answer = requests.get(f"{self._url}/?op=GETFILESTATUS", timeout=30)
        self._name = answer.json()["FileStatus"]["owner"]

    def do(self, op: str, path: str, **query: str) -> None:
        asked = {"op": op, "user.name": self._name, **query}
        requests.put(f"{self._url}{path}", params=asked, timeout=30).raise_for_status()


class Fault(NamedTuple):
    """What an administrator does to a folder, and undoes; and what HDFS says of it."""

    does: tuple[str, dict[str, str]]
    undoes: tuple[str, dict[str, str]]
    said: str


FAULTS = {
    "names": Fault(
        ("SETQUOTA", {"namespacequota": "1"}), ("SETQUOTA", {"namespacequota": "-1"}), "NameSpace quota .* quota=1 file"
    ),
    "space": Fault(
        ("SETQUOTA", {"storagespacequota": "1"}),
        ("SETQUOTA", {"storagespacequota": "-1"}),
        "DiskSpace quota .* diskspace consumed",
    ),
    "owner": Fault(
        ("SETOWNER", {"owner": "somebody"}),
        ("SETOWNER", {"owner": "eventlogging"}),
        'Permission denied: user=eventlogging, access=WRITE, inode="[^"]*":somebody:',
    ),
    "closed": Fault(
        ("SETPERMISSION", {"permission": "000"}),
        ("SETPERMISSION", {"permission": "755"}),
        "Permission denied: user=eventlogging, access=",
    ),
}


FOLDERS = ("{name}", "_importer/eventlogging_{name}")
CASES = set(itertools.product(FAULTS, FOLDERS, (0, 6))) - {
    # Its hours' folders are ours, whoever has the one that they are in.
    ("owner", "{name}", 6),
}


@pytest.mark.parametrize(("kind", "of", "earlier"), sorted(CASES))
def test_what_hdfs_refuses_of_one_folder_stands_its_topic_still(
    on_hdfs: Site, webhdfs: str, kind: str, of: str, earlier: int
) -> None:
    site = on_hdfs
    folder = of.format(name=site.bad.removeprefix("eventlogging_"))
    fault, administrator = FAULTS[kind], Administrator(webhdfs)
    if earlier:
        site.send(site.bad, earlier)
        assert site.run() == 0
    else:
        site.importer._store.make_folder(folder)
    (op, query), (undo, lifted) = fault.does, fault.undoes
    administrator.do(op, path_of(site.base, folder), **query)
    for number in (1, 2):
        site.send(site.bad, 5)
        site.send(site.good, 7)
        assert site.run() == number * 5
        assert site.has(site.good)
        assert list(site.metrics.aside) == [f"topic {site.bad}"]
        said = site.metrics.aside[f"topic {site.bad}"]
        assert re.search(fault.said, said)
        assert folder in said
        assert "\tat " not in said
    administrator.do(undo, path_of(site.base, folder), **lifted)
    site.send(site.bad, 5)
    assert site.run() == 0
    assert site.has(site.bad)
    assert not site.metrics.aside
    assert hidden(site.base) == []


def test_a_topic_whose_files_are_not_due_does_not_go_on_before_one_is_taken(
    kafka: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_FIRST_PAUSE_S", 0.0)
    site = Site(kafka, f"file://{tmp_path}/base", unique("Test"), tmp_path / "staging")
    site.importer._roll_policy = RollPolicy(size=1 << 30, age_s=3600.0, grace_ms=10 * HOUR_MS)
    put(site.base, site.bad.removeprefix("eventlogging_"), b"")
    site.send(site.bad, 5)
    assert site.run() == 5

    def run_without_hurry() -> int:
        return site.importer.run(site.reader, lambda _done, _total: True)

    said = site.metrics.changes
    assert run_without_hurry() == run_without_hurry() == 5
    assert site.metrics.changes == said
    # A run that is over before it came to the topic does not know.
    site.importer.run(site.reader, lambda _done, _total: False)
    assert f"topic {site.bad}" in site.metrics.aside
    remove(site.base, site.bad.removeprefix("eventlogging_"))
    assert run_without_hurry() == 0
    assert not site.metrics.aside
    assert site.has(site.bad)
    site.close()


def test_a_name_that_another_file_has_is_not_taken_for_its_own(site: Site) -> None:
    site.send(site.good, 5)
    assert site.run() == 0
    # As after an operator moved the manifests away: offsets begin anew, and so do the names of files.
    remove(site.base, f"_importer/{site.good}")
    before = set(stored(site.base))
    site.importer.invalidate()
    assert site.run() == 0
    after = stored(site.base)
    assert set(after) > before
    assert sum(len(some) for some in after.values()) == 10
    assert any("_2.json" in path for path in after)


def test_a_topic_that_was_made_again_is_imported_from_its_beginning(site: Site) -> None:
    site.send(site.good, 9)
    site.send(site.bad, 9)
    assert site.run() == 0
    modern.delete(site.kafka, site.bad)
    some = events(4)
    produce(site.kafka, site.bad, lines(some), partitions=1)
    site.sent[site.bad] += some
    assert site.run() == 0
    assert site.has(site.bad)
    assert site.metrics.summary()["import_recreated"] == 1
    assert any("@" in path for path in paths(site.base))
    site.send(site.bad, 3)
    assert site.run() == 0
    assert site.has(site.bad)
    # The next process finds its way as well.
    site.importer.invalidate()
    site.send(site.bad, 3)
    assert site.run() == 0
    assert site.has(site.bad)
    assert site.metrics.summary()["import_recreated"] == 1


def test_zstd_in_one_topic_stands_it_still(site: Site) -> None:
    modern.create(site.kafka, site.bad, 1)
    modern.produce(site.kafka, site.bad, lines(events(5)), 0, "zstd")
    site.send(site.good, 7)
    assert site.run() == 5
    assert site.has(site.good)
    assert "76" in site.metrics.aside[f"topic {site.bad}[0]"]


def test_what_a_recovery_publishes_is_counted(kafka: str, base: str, unique: Unique, tmp_path: Path) -> None:
    job = Job(kafka, base, f"eventlogging_{unique('Test')}", tmp_path / "staging")
    produce(kafka, job.topics, lines(events(6, hours=1)), partitions=1)
    # Killed as soon as the manifest has its name: one write and rename of the file, then those of the manifest.
    run_and_kill(job, 7, before=True)
    metrics = Counters()
    assert job.run(everything=True, metrics=metrics) == 0
    assert metrics.summary()["import_records"] == 6


def test_a_bug_of_ours_is_no_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Store(check_storage(f"file://{tmp_path}"))
    monkeypatch.setattr(store, "_changed_s", lambda _: None.items())  # type: ignore[attr-defined]
    (tmp_path / "x").touch()
    with pytest.raises(AttributeError, match="items"):
        made.list("")


def test_reasons_are_the_same_at_each_try() -> None:
    said = {
        message(
            RuntimeError(
                f"cannot rename /b/.host~{pid}~77~{pid} (inode {pid}) of blk_{pid}_1 at 2026-01-01 00:00:0{pid}"
            )
        )
        for pid in range(5)
    }
    assert len(said) == 1
    assert "cannot rename" in said.pop()


def test_the_rpc_port_is_named() -> None:
    assert "RPC port" in message(OSError("It looks like you are making an HTTP request to a Hadoop IPC port."))


def test_folders_never_lead_out_and_never_meet() -> None:
    topics = [
        "eventlogging_..",
        "eventlogging_.",
        "eventlogging_",
        "eventlogging__importer",
        "eventlogging_.x",
        "eventlogging__SUCCESS",
        "..",
        "eventlogging_Edit",
        "Edit",
        "other",
        "eventlogging_eventlogging_Edit",
    ]
    found = folders(topics)
    assert len(set(found.values())) == len(topics)
    assert all(folder and folder[0] not in "._" and "/" not in folder for folder in found.values())
    assert (found["eventlogging_Edit"], found["other"]) == ("Edit", "other")


def test_a_path_that_is_refused_is_told_from_a_store_that_is_away(tmp_path: Path) -> None:
    made = Store(check_storage(f"file://{tmp_path}"))
    (tmp_path / "taken").touch()
    with pytest.raises(PathRejectedError, match="taken"):
        made.write("taken/x", [b"x"])
    assert Journal(made).load("none") == {}


def test_a_folder_that_has_a_files_name_does_not_swallow_it(base: str) -> None:
    held = Store(check_storage(base))
    held.write("from/file", [b"messages"])
    held.write("to/file/inside", [b"x"])
    assert held.rename("from/file", "to/file") is False
    assert held.read("from/file") == b"messages"
    assert [entry.name for entry in held.list("to/file")] == ["inside"]


def test_transactions_in_one_topic_stand_it_still(site: Site, unique: Unique) -> None:
    modern.create(site.kafka, site.bad, 1)
    producer = modern.Transactions(site.kafka, site.bad, unique("id"))
    producer.begin([b"void"])
    producer.abort()
    site.send(site.good, 7)
    assert site.run() > 0
    assert site.has(site.good)
    assert "transaction" in site.metrics.aside[f"topic {site.bad}[0]"]


def test_of_two_name_nodes_the_one_that_answers_is_used(webhdfs: str, unique: Unique) -> None:
    user, _, host = webhdfs.removeprefix("webhdfs://").partition("@")
    made = Store(check_storage(f"hdfs://{user}@127.0.0.1:{free_port()},{host}/{unique('base')}"))
    with pytest.raises(RetryableError):
        made.write("a/x", [b"x"])
    made.write("a/x", [b"x"])
    assert made.read("a/x") == b"x"
