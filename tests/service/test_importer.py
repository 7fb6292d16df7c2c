# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Topics of a real Kafka → files by the hour in a real HDFS and in a local folder."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brokeradmin
import pytest
from importing import (
    ALWAYS,
    HOUR_MS,
    Job,
    by_folder,
    events,
    expected,
    hidden,
    hour,
    lines,
    paths,
    produce,
    produce_to_many,
    run_and_kill,
    side_by_side,
    stored,
)
from waiting import wait_for

from elworkers.connectors.kafka.drivers import driver
from elworkers.connectors.registry import check_storage
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters
from elworkers.importer.pending_range import RollPolicy
from elworkers.importer.staging import StagingFiles
from elworkers.importer.store import Store

Unique = Callable[[str], str]


@pytest.fixture(params=["hdfs", "file"])
def base(request: pytest.FixtureRequest, tmp_path: Path, unique: Unique) -> str:
    """URI of an empty folder, whose name has a blank in it."""
    if request.param == "file":
        return f"file://{tmp_path}/a base"
    return f"{request.getfixturevalue('webhdfs')}/{unique('base')}"


@pytest.fixture
def job(kafka: str, base: str, unique: Unique, tmp_path: Path) -> Job:
    # Each client of Kafka with one of the stores.
    client = "confluent" if base.startswith("file:") else "pykafka"
    return Job(kafka, base, f"eventlogging_{unique('Test')}", tmp_path / "staging", client=client)


def schema(job: Job) -> str:
    return job.topics.removeprefix("eventlogging_")


def test_every_event_is_in_the_folder_of_its_hour_once(job: Job) -> None:
    some = events(300, hours=4)
    produce(job.kafka, job.topics, lines(some[:200]))
    assert job.run() == 0
    assert by_folder(job.base) == expected(schema(job), some[:200])
    assert job.run() == 0
    assert by_folder(job.base) == expected(schema(job), some[:200])
    produce(job.kafka, job.topics, lines(some[200:]))
    assert job.run() == 0
    assert by_folder(job.base) == expected(schema(job), some)
    assert hidden(job.base) == []


def test_a_files_name_says_where_its_events_were(job: Job) -> None:
    some = events(30, hours=1)
    produce(job.kafka, job.topics, lines(some))
    job.run()
    names = [path.rpartition("/")[2] for path in stored(job.base)]
    assert sorted(names) == sorted(
        f"{job.topics}.{partition}.0-{reach.end - 1}.json" for partition, reach in ranges(job).items() if reach.end
    )


def ranges(job: Job) -> dict[int, object]:
    reader = job.reader()
    found = reader.ranges([partition for partition in reader.partitions() if partition.topic == job.topics])
    reader.close()
    return {partition.partition: reach for partition, reach in found.items()}


def test_messages_are_kept_as_they_are(job: Job) -> None:
    event = {"uuid": "1", "timestamp": int(time.time()), "text": "a\nb\u2028\t\\ ☃"}
    pretty = json.dumps({**event, "uuid": "2"}, indent=1).encode()
    produce(job.kafka, job.topics, [*lines([event]), pretty, b"", b"  ", b"no json\r\nat all"], partitions=1)
    job.run()
    (content,) = contents(job)
    assert content.splitlines()[0] == json.dumps(event).encode()
    assert json.loads(content.splitlines()[1]) == {**event, "uuid": "2"}
    assert content.endswith(b"no json  at all\n")
    assert content.count(b"\n") == 3


def contents(job: Job) -> list[bytes]:
    import fsspec

    files, root = fsspec.url_to_fs(job.base)
    return [files.cat_file(f"{root}/{path}") for path in paths(job.base) if path.endswith(".json") and path[0] != "_"]


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_files_can_be_compressed(job: Job, form: str) -> None:
    some = events(200)
    produce(job.kafka, job.topics, lines(some))
    job = job._replace(form=form)
    job.run()
    suffix = {"gzip": ".json.gz", "zstd": ".json.zst"}[form]
    assert all(path.endswith(suffix) for path in stored(job.base))
    assert by_folder(job.base) == expected(schema(job), some)


def test_compressed_sets_and_messages_of_any_size_are_read_once(job: Job) -> None:
    some = events(400, hours=1, pad="x" * 1000)
    some[7]["pad"] = "y" * 3_000_000
    small = job._replace(roll_policy=RollPolicy(size=100_000, age_s=0.0, grace_ms=600_000))
    for begin, compression in ((0, "gzip"), (200, "snappy")):
        options = f"&compression={compression}&max_request_size=4000000"
        produce(job.kafka, job.topics, lines(some[begin : begin + 200]), partitions=2, options=options)
        # Begins in the middle of a set.
        importer, reader = small.made(), job.reader()
        importer.run(reader, lambda done, _total: done == 0, everything=True)
        importer.close()
        reader.close()
        assert small.run(everything=True) == 0
    assert by_folder(job.base) == expected(schema(job), some)


def test_what_is_too_old_or_too_new_is_kept_aside(job: Job) -> None:
    now = int(time.time())
    late, future, timeless = events(3, hours=1)
    late["timestamp"], future["timestamp"] = now - 8 * 86_400, now + 7200
    del timeless["timestamp"]
    produce(job.kafka, job.topics, lines([late, future, timeless]), partitions=1)
    metrics = Counters()
    job.run(metrics=metrics)
    found = {path.split("/")[1]: [event["uuid"] for event in some] for path, some in stored(job.base).items()}
    assert found == {
        "late": [late["uuid"]],
        "future": [future["uuid"]],
        time.strftime("%Y", time.gmtime(now)): [timeless["uuid"]],
    }
    counted = metrics.summary()
    assert (counted["import_late"], counted["import_future"], counted["import_no_time"]) == (1, 1, 1)


def test_what_is_dropped_on_purpose_is_counted_and_not_read_again(job: Job) -> None:
    some = events(2, hours=1)
    some[0]["timestamp"] = 0
    produce(job.kafka, job.topics, lines(some), partitions=1)
    metrics = Counters()
    job = job._replace(keep_out_of_range=False)
    assert job.run(everything=True, metrics=metrics) == 0
    assert job.run(everything=True, metrics=metrics) == 0
    assert by_folder(job.base) == expected(schema(job), some[1:])
    assert metrics.summary()["import_late"] == 1


def test_hours_that_are_over_are_marked_and_later_events_counted(job: Job) -> None:
    some = events(60, hours=3)
    now_ms = int(time.time() * 1000)
    produce(job.kafka, job.topics, lines(some))
    job.run(now_ms=now_ms)
    this_hour = f"{schema(job)}/{time.strftime('%Y/%m/%d/%H', time.gmtime(now_ms / 1000))}"
    # With a grace of ten minutes the last hour may be over or not.
    over_ms = now_ms + 2 * HOUR_MS
    job.run(now_ms=over_ms)
    marked = {path.rpartition("/")[0] for path in paths(job.base) if path.endswith("/_SUCCESS")}
    assert marked == {f"{schema(job)}/{hour(event)}" for event in some}
    assert this_hour in marked
    metrics = Counters()
    more = events(1, hours=1)
    produce(job.kafka, job.topics, lines(more))
    job.run(now_ms=over_ms, metrics=metrics)
    assert by_folder(job.base) == expected(schema(job), some + more)
    assert metrics.summary()["import_after_success"] == 1


def test_an_hour_with_events_that_are_not_stored_yet_is_not_marked(job: Job) -> None:
    some = events(60, hours=1)
    produce(job.kafka, job.topics, lines(some))
    job = job._replace(roll_policy=RollPolicy(size=1 << 30, age_s=1e6, grace_ms=0))
    importer, reader = job.made(), job.reader()
    now_ms = int(time.time() * 1000)

    def run(now_ms: int) -> None:
        importer.run(reader, lambda _done, _total: True, now_ms=now_ms)

    run(now_ms)
    assert stored(job.base) == {}
    run(now_ms + HOUR_MS)
    assert by_folder(job.base) == expected(schema(job), some)
    assert any(path.endswith("_SUCCESS") for path in paths(job.base))
    reader.close()
    importer.close()


def test_a_file_is_closed_at_its_size(job: Job) -> None:
    some = events(4000, hours=1, pad="x" * 1000)
    produce(job.kafka, job.topics, lines(some), partitions=1)
    job = job._replace(roll_policy=RollPolicy(size=1_500_000, age_s=1e6, grace_ms=600_000))
    job.run()
    assert len(stored(job.base)) == 2
    job.run(everything=True)
    assert by_folder(job.base) == expected(schema(job), some)


def test_a_run_that_is_told_to_end_goes_on_the_next_time(job: Job) -> None:
    some = events(6000, hours=1, pad="x" * 1000)
    produce(job.kafka, job.topics, lines(some), partitions=3)
    importer, reader = job.made(), job.reader()
    left = importer.run(reader, lambda done, _total: done == 0, everything=True)
    assert 0 < left < len(some)
    assert sum(map(len, stored(job.base).values())) == len(some) - left
    importer.close()
    assert job.run(everything=True) == 0
    assert by_folder(job.base) == expected(schema(job), some)
    reader.close()


def test_a_run_that_takes_too_long_closes_what_is_due_and_one_that_is_stopped_does_not(job: Job) -> None:
    some = events(6000, hours=1, pad="x" * 1000)
    produce(job.kafka, job.topics, lines(some), partitions=3)
    importer, reader = job.made(), job.reader()
    importer.run(reader, lambda done, _total: done == 0, stopped=lambda: True)
    assert stored(job.base) == {}
    left = importer.run(reader, lambda done, _total: done == 0)
    assert 0 < sum(map(len, stored(job.base).values())) == len(some) - left
    reader.close()
    importer.close()


def test_new_topics_and_partitions_are_seen_in_the_next_run(job: Job) -> None:
    importer, reader = job._replace(topics=f"{job.topics}.*").made(), job.reader()
    some = events(60)
    for number, name in enumerate(("", "Second")):
        produce(job.kafka, job.topics + name, lines(some[number * 20 : number * 20 + 20]))
        importer.run(reader, lambda _done, _total: True)
    brokeradmin.add_partitions(job.kafka, job.topics, 5)
    produce(job.kafka, job.topics, lines(some[40:]))
    importer.run(reader, lambda _done, _total: True)
    found = by_folder(job.base)
    assert found == {
        **expected(schema(job), some[:20] + some[40:]),
        **expected(f"{schema(job)}Second", some[20:40]),
    }
    reader.close()
    importer.close()


def test_messages_that_kafka_has_deleted_are_counted(job: Job) -> None:
    some = events(40, hours=1)
    metrics = Counters()
    produce(job.kafka, job.topics, lines(some[:10]), partitions=1)
    job.run(metrics=metrics)
    produce(job.kafka, job.topics, lines(some[10:]), partitions=1)
    brokeradmin.delete_records(job.kafka, job.topics, 0, 25)
    job.run(metrics=metrics)
    assert by_folder(job.base) == expected(schema(job), some[:10] + some[25:])
    assert metrics.summary()["kafka_gap_messages"] == 15


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(
    kafka: str, webhdfs: str, unique: Unique, tmp_path: Path, before: bool
) -> None:
    topic = f"eventlogging_{unique('Test')}"
    some = events(90)
    produce(kafka, topic, lines(some))
    wanted = expected(topic.removeprefix("eventlogging_"), some)
    ended_by_itself = 0
    # Every step on the local disk; on HDFS, where a run takes longer, every seventh, other ones before and after.
    for number in range(1, 200):
        on_hdfs = number % 7 == (3 if before else 0)
        base = f"{webhdfs}/{unique('base')}" if on_hdfs else f"file://{tmp_path}/{number}"
        job = Job(kafka, base, topic, tmp_path / "staging", client="confluent" if before else "pykafka")
        code = run_and_kill(job, number, before)
        visible = stored(base)
        assert all(path.endswith(".json") for path in visible), "a torn file shows"
        job.run(everything=True)
        assert by_folder(base) == wanted, f"killed at step {number}"
        assert hidden(base) == [], f"killed at step {number}"
        ended_by_itself += code == 0
        if code == 0:
            break
        assert code == -9
    assert ended_by_itself == 1, "the last run has fewer steps than were killed"
    assert number > 30


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_an_error_at_any_step_is_made_good_by_the_next_run(
    kafka: str, unique: Unique, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    topic = f"eventlogging_{unique('Test')}"
    some = events(90)
    produce(kafka, topic, lines(some))
    left = itertools.count()

    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            fails = next(left) == 0
            if fails and before:
                raise RetryableError("asked to fail")
            result = original(*given)
            if fails:
                raise RetryableError("asked to fail")
            return result

        return call

    for name in ("write", "rename", "remove", "list", "read", "exists", "make_folder"):
        monkeypatch.setattr(Store, name, failing(getattr(Store, name)))
    reader = driver().reader([kafka])
    for step in range(1, 200):
        left = itertools.count(-step)
        job = Job(kafka, f"file://{tmp_path}/{step}", topic, tmp_path / "staging")
        importer = job.made()
        failed = False
        try:
            importer.run(reader, lambda _done, _total: True, everything=True)
        except RetryableError:
            failed = True
            importer.invalidate()
        assert importer.run(reader, lambda _done, _total: True, everything=True) == 0
        importer.close()
        assert by_folder(job.base) == expected(topic.removeprefix("eventlogging_"), some), f"failed at step {step}"
        assert hidden(job.base) == [], f"failed at step {step}"
        assert [path.name for path in (tmp_path / "staging").iterdir()] == ["lock"]
        if not failed:
            break
    assert step > 30
    reader.close()


def test_a_partition_is_stored_while_others_are_read(job: Job) -> None:
    some = events(6000, hours=1, pad="x" * 2000)
    produce(job.kafka, job.topics, lines(some), partitions=3)
    importer, reader = job.made(), job.reader()
    before_the_last = 0

    def keep_going(done: int, total: int) -> bool:
        nonlocal before_the_last
        if total * 0.9 < done < total and not before_the_last:
            wait_for(lambda: stored(job.base), 60, "a file before everything is read")
            before_the_last = total - done
        return True

    assert importer.run(reader, keep_going) == 0
    assert before_the_last
    assert by_folder(job.base) == expected(schema(job), some)
    reader.close()
    importer.close()


def test_two_importers_by_mistake_store_everything_once(job: Job) -> None:
    some = events(20_000, hours=2, pad="x" * 500)
    produce(job.kafka, job.topics, lines(some))
    small = job._replace(roll_policy=RollPolicy(size=300_000, age_s=0.0, grace_ms=600_000))
    told = side_by_side([small, small._replace(folder=job.folder.with_name("others"))])
    assert by_folder(job.base) == expected(schema(job), some)
    assert hidden(job.base) == []
    assert sum(one.counters.get("import_conflicts", 0) for one in told) > 0


def test_memory_does_not_grow_with_the_number_of_topics(kafka: str, unique: Unique, tmp_path: Path) -> None:
    """10 and 300 topics of 4 partitions, as many messages in both."""
    held = []
    for count in (10, 300):
        name = unique("Many")
        topics = [f"eventlogging_{name}{number}" for number in range(count)]
        brokeradmin.create_topics(kafka, topics, 4)
        some = events(6000, hours=2, pad="x" * 1000)
        produce_to_many(kafka, topics, lines(some), partitions=4)
        job = Job(kafka, f"file://{tmp_path}/{count}", f"eventlogging_{name}.*", tmp_path / "staging")
        (told,) = side_by_side([job])
        assert told.counters["import_records"] == len(some)
        assert {path.split("/")[0] for path in stored(job.base)} == {topic[13:] for topic in topics}
        held.append(told.memory)
    assert held[1] - held[0] < 16 * 1024 * 1024
    assert held[1] < 160 * 1024 * 1024


def test_a_full_disk_is_made_room_on_by_closing_what_is_there(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    some = events(3000, hours=1, pad="x" * 1000)
    produce(job.kafka, job.topics, lines(some), partitions=3)
    job = job._replace(roll_policy=RollPolicy(size=1 << 30, age_s=1e6, grace_ms=600_000))
    importer, reader = job.made(), job.reader()
    append = StagingFiles.append

    def until_full(staging: StagingFiles, *given: Any) -> None:
        held = sum(path.stat().st_size for path in job.folder.iterdir())
        if held > 1_500_000:
            raise RetryableError("No space left on device")
        append(staging, *given)

    monkeypatch.setattr(StagingFiles, "append", until_full)
    full = 0
    for _ in range(6):
        try:
            importer.run(reader, lambda _done, _total: True, everything=True)
        except RetryableError:
            full += 1
            importer.invalidate()
    assert 1 <= full < 6
    assert by_folder(job.base) == expected(schema(job), some)
    reader.close()
    importer.close()


def test_a_topic_that_was_made_anew_is_said_and_left_alone(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    produce(job.kafka, job.topics, lines(events(20, hours=1)), partitions=1)
    other = job._replace(topics=f"{job.topics}Other")
    job.run()
    # What a topic of the same name that was deleted and made again looks like: fewer messages than were imported.
    importer, reader = other.made(), job.reader()
    produce(job.kafka, other.topics, lines(events(5, hours=1)), partitions=1)
    importer._store.write(
        f"_importer/{other.topics}/0.0-20.json",
        [json.dumps({"next": 20, "files": [], "unfinished": []}).encode()],
    )
    before = paths(job.base)
    importer.run(reader, lambda _done, _total: True)
    importer.run(reader, lambda _done, _total: True)
    assert paths(job.base) == before
    assert capsys.readouterr().out.count("it was made anew") == 1
    reader.close()
    importer.close()


def test_other_file_systems_of_fsspec_work_by_their_schemes(kafka: str, unique: Unique, tmp_path: Path) -> None:
    name = unique("Test")
    some = events(60)
    produce(kafka, f"eventlogging_{name}", lines(some[:30]))
    job = Job(kafka, f"memory://bucket/{name}", f"eventlogging_{name}", tmp_path)
    job.run()
    produce(kafka, f"eventlogging_{name}", lines(some[30:]))
    job.run()
    assert by_folder(job.base) == expected(name, some)
    assert hidden(job.base) == []


def test_a_file_is_in_the_store_whole_or_an_error_says_so(base: str) -> None:
    store = Store(check_storage(base))

    def breaks() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        raise RetryableError("the disk cannot be read")

    assert store.write("a/file", [b"one ", b"", b"two"]) == 7
    assert store.write("a/file", iter([b"three"])) == 5
    assert store.read("a/file") == b"three"
    store.touch("empty")
    assert (store.exists("empty"), store.read("empty")) == (True, b"")
    with pytest.raises(RetryableError, match="the disk cannot be read"):
        store.write("broken", breaks())
    with pytest.raises(RetryableError, match=r"cannot (write|make folder)"):
        store.write("a/file/below", [b"four"])
    # A DataNode may have part of what was broken off, and later than one would think.
    assert {entry.name for entry in store.list("")} - {"broken"} == {"a", "empty"}


def test_a_name_that_is_taken_stays_with_its_file(base: str) -> None:
    store = Store(check_storage(base))
    store.write("one", [b"1"])
    store.write("two", [b"2"])
    assert not store.rename("one", "two")
    assert not store.rename("none", "three")
    assert store.rename("one", "a folder/one")
    assert not store.rename("one", "a folder/one")
    assert (store.read("two"), store.read("a folder/one"), store.exists("one")) == (b"2", b"1", False)


def test_a_store_that_does_not_answer_is_retryable_and_named(kafka: str, unique: Unique, tmp_path: Path) -> None:
    topic = f"eventlogging_{unique('Test')}"
    produce(kafka, topic, lines(events(1)))
    job = Job(kafka, "webhdfs://someone:secret@127.0.0.1:1/base", topic, tmp_path)
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1/base: cannot list") as refused:
        job.run()
    assert "secret" not in str(refused.value)
    assert job.roll_policy is ALWAYS
