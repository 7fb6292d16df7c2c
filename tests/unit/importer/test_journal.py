# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Manifests of importers that crash, come late or are two: what a reader sees, and where the next goes on."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from elworkers.connectors.registry import check_storage
from elworkers.core.errors import RetryableError
from elworkers.importer.journal import Journal
from elworkers.importer.manifest import File, Manifest
from elworkers.importer.store import Store

TOPIC = "eventlogging_Test"


class Base:
    """A base folder on the local disk, and importers that write to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(check_storage(f"file://{path}"))

    def journal(self, owner: str = "") -> Journal:
        journal = Journal(self.store)
        if owner:
            journal._owner = owner
        return journal

    def manifest(self, journal: Journal, begin: int, end: int, *hours: str) -> Manifest:
        files = []
        for hour in hours:
            temporary = journal.temporary(TOPIC)
            self.store.write(temporary, [f"{begin}-{end}\n".encode()])
            files.append(File(temporary, f"Test/{hour}/{TOPIC}.0.{begin}-{end - 1}.json", begin, end - 1, 1, 4))
        return Manifest(TOPIC, 0, begin, end, tuple(files), tuple(hours))

    def visible(self) -> list[str]:
        return sorted(str(path.relative_to(self.path)) for path in (self.path / "Test").rglob("*.json"))

    def own(self) -> list[str]:
        return sorted(path.name for path in (self.path / "_importer" / TOPIC).iterdir())

    def position(self) -> int:
        return self.journal("new~1~1").load(TOPIC)[0].next


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(tmp_path / "base")


class StoppedError(Exception):
    """What stands for SIGSTOP: the importer does nothing more for now."""


def stop_at(journal: Journal, step: Callable[[str, str], bool]) -> None:
    """Have an importer stop before the first rename that `step` is true for."""
    store = journal._store = Store(check_storage(journal._store.name))
    rename = store.rename

    def guarded(source: str, target: str) -> bool:
        if step(source, target):
            raise StoppedError
        return rename(source, target)

    store.rename = guarded  # type: ignore[method-assign]


def test_one_after_the_other_leaves_the_last_manifest_alone(base: Base) -> None:
    journal = base.journal()
    assert journal.load(TOPIC) == {}
    assert journal.publish(base.manifest(journal, 0, 10, "a", "b"))
    assert journal.publish(base.manifest(journal, 10, 15, "b"))
    assert base.visible() == [
        f"Test/a/{TOPIC}.0.0-9.json",
        f"Test/b/{TOPIC}.0.0-9.json",
        f"Test/b/{TOPIC}.0.10-14.json",
    ]
    assert base.own() == ["0.10-15.json"]
    (last,) = journal.load(TOPIC).values()
    assert (last.begin, last.next, last.unfinished) == (10, 15, ("b",))


def test_of_two_that_begin_at_the_same_offset_the_first_wins(base: Base) -> None:
    one, two = base.journal("one~1~1"), base.journal("two~1~1")
    mine, others = base.manifest(one, 0, 10, "a"), base.manifest(two, 0, 12, "a")
    assert one.publish(mine)
    assert not two.publish(others)
    assert base.visible() == [f"Test/a/{TOPIC}.0.0-9.json"]
    assert base.own() == ["0.0-10.json"]


def test_one_that_comes_very_late_withdraws(base: Base) -> None:
    one, two = base.journal("one~1~1"), base.journal("two~1~1")
    late = base.manifest(two, 0, 12, "a", "b")
    assert one.publish(base.manifest(one, 0, 10, "a"))
    # Its own name is free again by now.
    assert one.publish(base.manifest(one, 10, 20, "a"))
    assert not two.publish(late)
    assert base.visible() == [f"Test/a/{TOPIC}.0.0-9.json", f"Test/a/{TOPIC}.0.10-19.json"]
    assert base.own() == ["0.10-20.json"]
    assert base.position() == 20


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_another_carries_on_what_one_has_begun_and_the_first_may_come_back(base: Base, renamed: int) -> None:
    one, two = base.journal("one~1~1"), base.journal("two~1~1")
    manifest = base.manifest(one, 0, 10, "a", "b", "c")
    targets = [file.path for file in manifest.files]
    stop_at(one, lambda _source, target: target == targets[renamed])
    with pytest.raises(StoppedError):
        one.publish(manifest)
    assert len(base.visible()) == renamed
    assert two.load(TOPIC)[0].next == 10
    assert base.visible() == targets
    assert two.publish(base.manifest(two, 10, 20, "a"))
    seen = base.visible()
    # It goes on where it stopped, and then with what it believes comes next.
    stop_at(one, lambda _source, _target: False)
    one._name_files(manifest)
    assert not one.publish(base.manifest(one, 10, 30, "a"))
    assert base.visible() == seen
    assert base.own() == ["0.10-20.json"]


def test_a_late_manifest_whose_author_died_is_removed_by_the_next(base: Base) -> None:
    one, two = base.journal("one~1~1"), base.journal("two~1~1")
    late = base.manifest(two, 0, 12, "a", "b")
    assert one.publish(base.manifest(one, 0, 10, "a"))
    assert one.publish(base.manifest(one, 10, 20, "a"))
    # Published, and killed before it could see that it had come late.
    stop_at(two, lambda source, _target: source == late.files[0].temporary)
    monkey = two._store.list
    two._store.list = lambda folder: (_ for _ in ()).throw(StoppedError) if folder else monkey(folder)  # type: ignore[method-assign]
    with pytest.raises(StoppedError):
        two.publish(late)
    assert "0.0.json" in base.own()
    assert base.position() == 20
    assert base.own() == ["0.10-20.json"]
    assert base.visible() == [f"Test/a/{TOPIC}.0.0-9.json", f"Test/a/{TOPIC}.0.10-19.json"]


def test_an_import_whose_files_are_gone_is_read_again(base: Base, capsys: pytest.CaptureFixture[str]) -> None:
    one = base.journal("one~1~1")
    manifest = base.manifest(one, 0, 10, "a", "b")
    stop_at(one, lambda _source, target: target == manifest.files[1].path)
    with pytest.raises(StoppedError):
        one.publish(manifest)
    base.store.remove(manifest.files[1].temporary)
    assert base.journal("two~1~1").load(TOPIC) == {}
    assert base.visible() == []
    assert base.own() == []
    assert "a file of this import is gone" in capsys.readouterr().out


def test_hours_that_were_removed_later_are_not_imported_again(base: Base) -> None:
    journal = base.journal()
    assert journal.publish(base.manifest(journal, 0, 10, "a"))
    base.store.remove(base.visible()[0])
    assert base.position() == 10
    assert base.visible() == []


def test_a_folder_that_was_removed_meanwhile_is_made_again(base: Base) -> None:
    journal = base.journal()
    assert journal.publish(base.manifest(journal, 0, 10, "a"))
    (base.path / base.visible()[0]).unlink()
    (base.path / "Test" / "a").rmdir()
    manifest = base.manifest(journal, 10, 20, "a")
    with pytest.raises(RetryableError, match="cannot rename"):
        journal.publish(manifest)
    assert journal.load(TOPIC)[0].next == 20
    assert base.visible() == [manifest.files[0].path]


def test_leftovers_are_removed_once_their_owner_has_ended(base: Base) -> None:
    host, now = socket.gethostname(), time.time()
    folder = base.path / "_importer" / TOPIC
    folder.mkdir(parents=True)
    mine = base.journal()
    ended, alive, far, far_and_old = (
        f".{host}~4194304~77~1",
        f".{mine._owner.rpartition('~')[0]}~{mine._owner.rpartition('~')[2]}~9",
        ".elsewhere~1~77~1",
        ".elsewhere~1~77~2",
    )
    for name in (ended, alive, far, far_and_old):
        (folder / name).touch()
    os.utime(folder / far_and_old, (now - 90_000, now - 90_000))
    base.journal("new~1~1").load(TOPIC)
    assert base.own() == sorted([alive, far])
    # Its own, of a try that failed.
    mine.load(TOPIC)
    assert base.own() == [far]


def test_a_manifest_that_is_none_is_said(base: Base) -> None:
    base.store.write(f"_importer/{TOPIC}/0.0-10.json", [b"not one"])
    with pytest.raises(RetryableError, match=r"0\.0-10\.json: is no manifest"):
        base.journal().load(TOPIC)
