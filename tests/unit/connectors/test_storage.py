# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""File systems as the base folder of an importer: what each promises, and which cannot be had as the URI wants them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from unit.connectors.test_installed import install

from elworkers.config.argument_files import read_lines
from elworkers.connectors.registry import check_storage
from elworkers.connectors.storage import Storage
from elworkers.core.errors import ConfigurationError, RetryableError
from elworkers.importer.store import Store
from elworkers.roles.validate import check_arguments

FOLDERS = """
from elworkers.config.types import integer
from elworkers.config.uris import Option
from elworkers.connectors.connector import Connector
from elworkers.connectors.fsspec_storage import FsspecStorage
from elworkers.connectors.storage import StorageSpec

def check(endpoint):
    assert endpoint.uri.path != "/assertion"

def open_storage(endpoint):
    return FsspecStorage("folders", f"/folders/{endpoint.options['depth']}{endpoint.uri.path}", "memory", {})

OPTIONS = {"depth": Option(integer(1), 1, "")}
FOLDERS = Connector("folders", storage=StorageSpec(OPTIONS, open=open_storage, check=check))
"""


@pytest.fixture(params=["file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    uri = f"file://{tmp_path}/base" if request.param == "file" else f"memory:///{tmp_path.name}"
    endpoint = check_storage(uri)
    return endpoint.spec.open(endpoint)


def content(storage: Storage, path: str) -> bytes:
    found: bytes = storage.files.cat_file(storage.absolute(path))
    return found


def test_a_file_is_written_as_a_whole_and_named_once(storage: Storage) -> None:
    storage.make_folder("a/b")
    storage.make_folder("a/b")
    storage.write("a/b/.new", iter([b"one\n", b"two\n"]))
    storage.write("a/b/.other", iter([b"other\n"]))
    assert storage.rename("a/b/.new", "a/b/named")
    assert content(storage, "a/b/named") == b"one\ntwo\n"
    assert not storage.rename("a/b/.other", "a/b/named"), "the name is taken"
    assert not storage.rename("a/b/.new", "a/b/again"), "the file is gone"
    assert content(storage, "a/b/named") == b"one\ntwo\n"
    assert content(storage, "a/b/.other") == b"other\n"
    assert storage.absolute("") == storage.absolute("a").removesuffix("/a")


def test_what_the_content_raises_is_raised(storage: Storage) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one\n"
        raise RetryableError("the local disk cannot be read")

    storage.make_folder("a")
    with pytest.raises(RetryableError, match="the local disk"):
        storage.write("a/.new", broken())
    storage.write("a/.new", iter([b"whole\n"]))
    assert content(storage, "a/.new") == b"whole\n"


# What fsspec has not finished making complains as it goes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_options_that_a_driver_cannot_work_with_are_the_configurations() -> None:
    with pytest.raises(ConfigurationError, match=r"ftp URI: .*'host'"):
        Store(check_storage("ftp:///log?username=u"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_driver_that_finds_nobody_is_an_outage() -> None:
    with pytest.raises(RetryableError, match=r"ftp URI: .*refused"):
        Store(check_storage("ftp:///log?host=127.0.0.1"))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://", "file URI: no path; expected file:///PATH"),
        ("hdfs:///PATH", "hdfs URI: no host; expected hdfs://NAMENODE:9870/PATH"),
        ("webhdfs://h:1", "webhdfs URI: no path; expected webhdfs://NAMENODE:9870/PATH"),
        ("hdfs://h:x/PATH", "hdfs URI: the port of 'h'; expected a number from 1 to 65535"),
        ("hdfs://h/PATH?usr=u", "hdfs URI: unknown option 'usr'; did you mean 'user'?"),
        ("file:///PATH?fsync=True", "file URI: unknown option 'fsync'; known: group, mode"),
        ("hfds://h/PATH", "no folder has the scheme 'hfds'; did you mean 'hdfs'?"),
        ("mysql://u@h/d", "no folder has the scheme 'mysql'; "),
        ("map://file:///PATH?function=f", "map URI: an importer writes messages as they are; expected file:///PATH or"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_refused_with_what_was_expected(uri: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_storage(uri)
    assert str(caught.value).startswith(message)


def test_a_file_system_of_others_is_a_folder_for_importers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "module_of_folders", FOLDERS, "folders = module_of_folders:FOLDERS\n")
    arguments = check_arguments("importer", read_lines(b"kafka:///k:1\nfolders:///base?depth=7\n", "FILE", {}))
    store = Store(arguments.endpoints["base"][0])
    assert store.write("folder/file", [b"line\n"]) == 5
    assert fsspec.filesystem("memory").cat_file("/folders/7/base/folder/file") == b"line\n"
    with pytest.raises(ConfigurationError, match="FILE:2: folders URI: option depth='0'; expected a whole number"):
        check_arguments("importer", read_lines(b"kafka:///k:1\nfolders:///base?depth=0\n", "FILE", {}))
    with pytest.raises(ConfigurationError, match=r"folders URI: its connector .* fails in check="):
        check_storage("folders:///assertion")
