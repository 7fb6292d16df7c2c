# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""What a consumer's store refuses of an input that ends: it is in a file, and the exit code and a summary say so."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from databases import Place
from outputs import capsule, count, fill, logged, schemas
from topology import BIN
from waiting import wait_for

DEADLINE_S = 90.0
Unique = Callable[[str], str]


def lines(schema: str, good: int, bad: int) -> bytes:
    """Capsules that their table takes, as many that it does not, and a line that is no capsule."""
    all_of_them = [json.loads(capsule(schema, number)) | {"uuid": f"{number:032x}"} for number in range(good + bad)]
    written = [
        json.dumps(one | ({"event": {"a": "no number"}} if at < bad else {})) for at, one in enumerate(all_of_them)
    ]
    return "\n".join([*written, "{torn", ""]).encode()


def consume(*words: object, stdin: bytes = b"", expect: int) -> str:
    """Run a consumer to its end; gives what it said."""
    command = [BIN / "eventlogging-consumer", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=DEADLINE_S)
    said = done.stderr.decode()
    assert done.returncode == expect, said
    return said


def summary(said: str) -> dict[str, Any]:
    """The one line that says how the input has ended."""
    (found,) = [one for line in said.splitlines() if (one := json.loads(line))["event"] == "the input has ended"]
    # It says all that a worker does which has done everything.
    assert '"event": "worker done"' in said
    wanted = ("records_read", "stored", "there_already", "refused", "refused_to")
    return {name: found[name] for name in wanted if name in found}


def errors(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("database", ["mariadb", "sqlite"])
def test_what_is_refused_of_a_file_stands_beside_it(
    request: pytest.FixtureRequest, unique: Unique, tmp_path: Path, database: str
) -> None:
    uri = request.getfixturevalue("mariadb") if database == "mariadb" else f"sqlite:///{tmp_path}/events.db"
    name, path = unique("Refused"), tmp_path / "events.log"
    folder = schemas(tmp_path / "schemas", name)
    path.write_bytes(lines(name, 40, 5))
    said = consume(f"file://{path}", uri, f"--schemas={folder}", expect=65)
    rejected = tmp_path / "events.log.rejected"
    assert summary(said) == {"records_read": 46, "stored": 40, "refused": 6, "refused_to": f"file://{rejected}"}
    told = errors(rejected)
    assert {one["schema"] for one in told} == {"EventError"}
    assert sorted(one["event"]["code"] for one in told) == ["processor", *["storage"] * 5]
    place = Place(uri, name)
    assert len(place.rows()) == 40
    # Once the events are mended they can be tried again, and everything that is there stays as it is.
    mended = [one["event"]["rawEvent"].replace('"no number"', "7") for one in told if one["event"]["code"] == "storage"]
    path.write_bytes(path.read_bytes().splitlines()[5] + b"\n" + "\n".join(mended).encode())
    again = consume(f"file://{path}", uri, f"--schemas={folder}", expect=0)
    assert len(place.rows()) == 45
    place.close()
    assert summary(again) == {"records_read": 6, "stored": 5, "there_already": 1, "refused": 0}


def test_nothing_stands_beside_a_file_of_which_all_is_stored(unique: Unique, tmp_path: Path) -> None:
    name, path = unique("Taken"), tmp_path / "events.log"
    path.write_bytes(capsule(name, 1))
    folder = schemas(tmp_path / "schemas", name)
    consume(f"file://{path}", f"sqlite:///{tmp_path}/events.db", f"--schemas={folder}", expect=0)
    assert not (tmp_path / "events.log.rejected").exists()


def test_a_packed_file_that_breaks_off_is_named_and_what_it_has_is_stored(unique: Unique, tmp_path: Path) -> None:
    name, path = unique("Packed"), tmp_path / "events.log.gz"
    written = lines(name, 3_000, 0).splitlines(keepends=True)[:-1]
    # Two joined, of which the second one breaks off.
    whole, torn = (gzip.compress(b"".join(half)) for half in (written[:1_000], written[1_000:]))
    path.write_bytes(whole + torn[: len(torn) // 2])
    uri = f"sqlite:///{tmp_path}/events.db"
    words = [f"file://{path}", uri, f"--schemas={schemas(tmp_path / 'schemas', name)}"]
    said = consume(*words, expect=65)
    place = Place(uri, name)
    stored = [row["uuid"] for row in place.rows("uuid")]
    assert 1_000 < len(stored) < 3_000
    assert stored == [f"{number:032x}" for number in range(len(stored))]
    size = path.stat().st_size
    why = f"file {path}: the gzip data breaks off at the end of the file, byte {size}; its {len(stored)} whole lines"
    assert why in said
    # Nothing of the line that is cut in two is taken for a line.
    assert summary(said) == {"records_read": len(stored), "stored": len(stored), "refused": 0}
    path.write_bytes(whole + torn)
    consume(*words, expect=0)
    assert len(place.rows("uuid")) == 3_000
    place.close()


def test_standard_input_has_to_say_where_refused_records_go(unique: Unique, tmp_path: Path) -> None:
    name = unique("Refused")
    words = ["stdin:", f"sqlite:///{tmp_path}/events.db", f"--schemas={schemas(tmp_path / 'schemas', name)}"]
    (complaint,) = consume(*words, expect=78).splitlines()
    assert "stdin URI: there is no output for records that OUTPUT rejects; expected --output-invalid URI" in complaint
    words.append(f"--output-invalid=file://{tmp_path}/refused")
    said = consume(*words, stdin=lines(name, 2, 1), expect=65)
    assert summary(said)["refused_to"] == f"file://{tmp_path}/refused"
    assert len(errors(tmp_path / "refused")) == 2


def test_a_topic_named_by_the_operator_gets_what_a_group_refuses(kafka: str, unique: Unique, tmp_path: Path) -> None:
    name, topic, invalid = unique("Refused"), unique("events"), unique("invalid")
    fill(kafka, topic, lines(name, 3, 2).splitlines())
    command = [
        BIN / "eventlogging-consumer",
        f"kafka:///{kafka}?topic={topic}&identity={topic}",
        f"sqlite:///{tmp_path}/events.db",
        f"--output-invalid=kafka:///{kafka}?topic={invalid}",
        f"--schemas={schemas(tmp_path / 'schemas', name)}",
        "--batch-seconds=1",
    ]
    with (tmp_path / "said").open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        wait_for(lambda: count(kafka, invalid) == 3, DEADLINE_S, "the EventErrors")
    finally:
        process.terminate()
        # It was asked to end, and has done what it had to.
        assert process.wait(DEADLINE_S) == 0
    assert logged(tmp_path / "said", "the input has ended") == []


def test_a_job_that_has_ended_is_not_started_again_by_supervisord(
    topology: Callable[..., Any], unique: Unique, tmp_path: Path
) -> None:
    name, path, good = unique("Refused"), tmp_path / "events.log", tmp_path / "good.log"
    path.write_bytes(lines(name, 1, 1))
    good.write_bytes(capsule(name, 1))
    folder = schemas(tmp_path / "schemas", name)
    site = topology({})
    site.instance("consumer/job", f"file://{path}", f"sqlite:///{tmp_path}/events.db", f"--schemas={folder}")
    site.instance("consumer/good", f"file://{good}", f"file://{tmp_path}/out")
    site.ctl("start", expect=None)

    def ended() -> str | None:
        said: str = site.ctl("status", expect=None).stdout
        return said if said.count("EXITED") == 2 else None

    status = wait_for(ended, DEADLINE_S, "their ends")
    assert (tmp_path / "out").read_bytes().splitlines() == [capsule(name, 1)]
    assert "2 of 3 records are refused; they are in file://" in status
    assert len(errors(tmp_path / "events.log.rejected")) == 2
