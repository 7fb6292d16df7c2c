# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""The spool: order, crashes, bounds."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from waiting import wait_for

from elworkers.connectors.spool import memory_queue
from elworkers.connectors.spool.listener import Arrival, Failed, LineKeeper
from elworkers.connectors.spool.source import SpooledSource
from elworkers.connectors.spool.spool import Spool
from elworkers.connectors.udp.listener import UdpListener
from elworkers.connectors.udp.source import UdpSource
from elworkers.core.errors import RetryableError
from elworkers.core.metrics import Counters

PLENTY = 10**9


def numbered(begin: int, end: int) -> list[bytes]:
    return [b"line %d" % number for number in range(begin, end)]


def rest(spool: Spool) -> list[bytes]:
    """Everything that has not been read."""
    found: list[bytes] = []
    while read := spool.read(7):
        found += [one.line for one in read]
    return found


def test_lines_come_out_in_order_over_segments(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=200)
    for begin in range(0, 500, 10):
        assert spool.append(numbered(begin, begin + 10), 5) == 10
    assert rest(spool) == numbered(0, 500)
    assert len(list(tmp_path.glob("*.spool"))) > 10
    spool.close()


def test_what_is_not_done_with_is_read_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=100)
    spool.append(numbered(0, 100), 1_469_795_696_000)
    first = spool.read(40)
    assert {one.arrived_ms for one in first} == {1_469_795_696_000}
    spool.done(first[29].end)
    spool.close()
    again = Spool(tmp_path, PLENTY, segment_bytes=100)
    assert rest(again) == numbered(30, 100)
    again.append(numbered(100, 110), 1)
    assert rest(again) == numbered(100, 110)
    again.close()


def test_segments_that_are_done_with_are_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=100)
    for begin in range(0, 100, 10):
        spool.append(numbered(begin, begin + 10), 1)
    before = len(list(tmp_path.glob("*.spool")))
    spool.done(spool.read(1000)[-1].end)
    assert before > 5
    assert len(list(tmp_path.glob("*.spool"))) == 1
    assert spool.waiting_bytes == 0
    spool.close()


def test_a_line_that_a_crash_has_torn_is_cut_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.append(numbered(0, 3), 1)
    spool.close()
    (segment,) = tmp_path.glob("*.spool")
    segment.write_bytes(segment.read_bytes() + b"1\ttorn")
    again = Spool(tmp_path, PLENTY)
    again.append([b"whole"], 1)
    assert rest(again) == [*numbered(0, 3), b"whole"]
    again.close()


def test_a_full_spool_takes_the_oldest_and_says_how_many(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100, segment_bytes=50)
    taken = spool.append(numbered(0, 100), 1)
    assert 0 < taken < 100
    assert spool.append([b"one more line"], 1) == 0
    spool.done(spool.read(1000)[-1].end)
    assert spool.append([b"one more line"], 1) == 1
    spool.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    with pytest.raises(RetryableError, match="another process has it"):
        Spool(tmp_path, PLENTY)
    spool.close()
    Spool(tmp_path, PLENTY).close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RetryableError, match="file"):
        Spool(tmp_path / "file", PLENTY)


@pytest.mark.parametrize("done", [b"", b"no number", b"\0" * 20, b"-1", b"99999", b"7", "٣".encode()])
def test_a_broken_position_is_put_aside_and_no_line_is_lost(tmp_path: Path, done: bytes) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=100)
    for number in range(30):
        spool.append(numbered(number, number + 1), 1)
    spool.done(spool.read(20)[-1].end)
    first = min(int(path.stem) for path in tmp_path.glob("*.spool"))
    lines = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.spool"))).count(b"\n")
    spool.close()
    (tmp_path / "done").write_bytes(done if done != b"7" else b"%d" % (first + 7))
    with capture_logs() as logs:
        again = Spool(tmp_path, PLENTY)
    assert [log["file"] for log in logs] == [str(tmp_path / "done")]
    assert logs[0]["done"] == "put aside as done.aside"
    assert rest(again) == numbered(30 - lines, 30)
    again.append([b"new"], 1)
    (new,) = again.read(1)
    assert new.line == b"new"
    again.done(new.end)
    again.close()
    with capture_logs() as logs:
        last = Spool(tmp_path, PLENTY)
    assert (logs, rest(last)) == ([], [])
    last.close()


def test_nothing_that_was_done_with_comes_back_where_the_position_is_damaged(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.append(numbered(0, 5), 1)
    spool.done(spool.read(5)[-1].end)
    spool.close()
    (tmp_path / "done").write_bytes(b"")
    again = Spool(tmp_path, PLENTY)
    again.append([b"new"], 1)
    assert rest(again) == [b"new"]
    again.close()


def damaged(folder: Path, at: int, name: str, content: bytes) -> list[bytes]:
    """What is read of four segments of ten lines, one of which, or a file beside them, has another content."""
    spool = Spool(folder, PLENTY, segment_bytes=10)
    for number in range(0, 40, 10):
        spool.append(numbered(number, number + 10), 1)
    spool.close()
    path = folder / name if name else sorted(folder.glob("*.spool"))[at]
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(content.replace(b"BEFORE", before))
    again = Spool(folder, PLENTY, segment_bytes=10)
    again.append([b"new"], 1)
    found = rest(again)
    again.done(again._end)
    again.close()
    return found


@pytest.mark.parametrize(
    ("at", "name", "content", "lost"),
    [
        (0, "x.spool", b"\0" * 4096, ()),
        (0, "-5.spool", b"1\tx\n", ()),
        (0, "7.spool", b"", ()),
        (0, "٣.spool", b"", ()),
        (3, "", b"\0" * 200, range(30, 40)),
        (3, "", b"BEFORE" + b"\0" * 200, ()),
        (3, "", b"BEFORE\xff\xff\n", ()),
        (1, "", b"\0" * 119, range(10, 20)),
        (1, "", b"", range(10, 20)),
        (1, "", b"no stamp\n1\tline 10\n\0\0\0\n", range(11, 20)),
        (1, "", b"\0\0\0001\tline 10\n", range(11, 20)),
        (1, "", b"BEFORE1\tmore\n", ()),
        (0, "", b"1\tline 0\n1\tli", range(1, 10)),
    ],
)
def test_what_is_damaged_is_named_kept_aside_and_passed_over(
    tmp_path: Path, at: int, name: str, content: bytes, lost: Sequence[int]
) -> None:
    with capture_logs() as logs:
        found = damaged(tmp_path, at, name, content)
    assert found == [*(b"line %d" % number for number in range(40) if number not in lost), b"new"]
    (said,) = {log["file"]: log for log in logs if log["event"] == "the spool is damaged"}.values()
    aside = tmp_path / f"{Path(said['file']).name}.aside"
    assert aside.name in said["done"]
    assert aside.exists()


def test_a_segment_that_somebody_removes_holds_nothing_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.append(numbered(0, 5), 1)
    next(tmp_path.glob("*.spool")).unlink()
    assert spool.read(10) == []
    spool.append(numbered(5, 10), 1)
    assert rest(spool) == numbered(5, 10)
    spool.close()


class RecordingListener:
    """A listener of whose arrivals each is told."""

    def __init__(self) -> None:
        self.words: list[bool] = []
        self.keeper: LineKeeper | None = None

    def open(self, keeper: LineKeeper, failed: Failed) -> None:
        self.keeper = keeper

    def close(self) -> None:
        assert self.send(b"at the end") is None

    def send(self, *lines: bytes, told: bool = True) -> bool | None:
        assert self.keeper is not None
        before = len(self.words)
        self.keeper.keep([Arrival(lines, 1, self.words.append if told else None)])
        return self.words[before] if len(self.words) > before else None


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk that takes nothing."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode
    ):
        pytest.skip("nobody but root can mount a full disk")
    try:
        fill(folder)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """The file that takes all there is."""
    with (folder / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    return folder / "filler"


def test_without_room_on_the_disk_lines_go_past_it_and_are_acknowledged_by_the_output(full: Path) -> None:
    listener, metrics = RecordingListener(), Counters()
    source = SpooledSource(listener, Spool(full / "spool", PLENTY), metrics)
    assert source.room(10).status == "straight"
    assert "No space left on device" in source.room(10).reason
    assert listener.send(b"a", b"b") is None
    assert listener.send(b"c", told=False) is None
    records = source.poll(10, 0)
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert {record.origin for record in records} == {None}
    assert listener.words == []
    source.flush_by(lambda: source.commit({}))
    assert source.poll(10, 0) == [], "whoever waits has its flush before anything else is taken"
    assert listener.words == [True]
    source.flush_by(lambda: pytest.fail("nobody waits any longer"))
    assert source.poll(10, 0) == []
    assert "No space left" in next(iter(metrics.aside.values()))
    (full / "filler").unlink()
    assert source.room(10).status == "ok"
    assert listener.send(b"d") is True
    assert [record.value for record in source.poll(10, 0)] == [b"d"]
    assert metrics.aside == {}
    listener.close = lambda: None  # type: ignore[method-assign]
    source.close()


def test_past_the_disk_nobody_waits_for_an_output_that_is_away(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, metrics = RecordingListener(), Counters()
    source = SpooledSource(listener, Spool(full / "spool", PLENTY), metrics)
    assert listener.send(b"a") is None
    monkeypatch.setattr(memory_queue, "_AWAY_AFTER_S", 0.0)
    assert source.room(10).status == "full"
    assert listener.send(b"b") is False
    assert listener.send(*[b"x" * 1_000] * 4_000, told=False) is None
    assert listener.send(*[b"x" * 1_000] * 400, told=False) is None
    assert source.poll(1, 0)[0].value == b"a"
    assert (metrics.summary()["spool_dropped"], metrics.summary()["spool_refused"]) == (206, 1)
    listener.close = lambda: None  # type: ignore[method-assign]
    with capture_logs() as logs:
        source.close()
    assert listener.words == [False, False]
    assert [log["records"] for log in logs if "they are lost" in log["event"]] == [4_194]


def test_a_position_that_the_disk_does_not_take_brings_nothing_twice(full: Path) -> None:
    (full / "filler").unlink()
    spool = Spool(full / "spool", PLENTY)
    spool.append(numbered(0, 5), 1)
    fill(full)
    spool.done(spool.read(10)[-1].end)
    assert spool.waiting_bytes == 0
    assert list((full / "spool").glob("*.spool")) == []
    spool.close()
    again = Spool(full / "spool", PLENTY)
    assert again.read(10) == []
    again.close()


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and line.strip()), max_size=40))
def test_any_lines_come_out_as_they_were(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"), PLENTY, segment_bytes=64)
    for line in lines:
        spool.append([line], 7)
    assert rest(spool) == lines
    spool.close()


def test_one_thread_writes_while_another_reads(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY, segment_bytes=1000)
    writer = threading.Thread(target=lambda: [spool.append(numbered(n, n + 5), 1) for n in range(0, 5000, 5)])
    writer.start()
    found: list[bytes] = []

    def all_read() -> bool:
        read = spool.read(50)
        if read:
            spool.done(read[-1].end)
        found.extend(one.line for one in read)
        return len(found) == 5000

    wait_for(all_read, 30, "every line")
    writer.join()
    assert found == numbered(0, 5000)
    spool.close()


def source(folder: Path, max_bytes: int, metrics: Counters) -> tuple[SpooledSource, UdpSource]:
    udp = UdpSource("127.0.0.1", 0, receive_buffer=1024 * 1024, metrics=metrics)
    return SpooledSource(UdpListener(udp), Spool(folder, max_bytes), metrics), udp


def test_datagrams_are_taken_while_nobody_polls_and_those_without_room_are_counted(tmp_path: Path) -> None:
    metrics = Counters()
    spooled, udp = source(tmp_path, 1000, metrics)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in numbered(0, 100):
            sender.sendto(line, udp.address)
    wait_for(lambda: spooled._dropped, 30, "a full spool")
    spooled.close()
    again, _ = source(tmp_path, 1000, metrics)
    kept = [record.value for record in again.poll(1000, 1)]
    assert kept == numbered(0, len(kept))
    again.close()
    assert 0 < len(kept) < 100


def test_what_the_socket_holds_when_it_is_closed_is_kept(tmp_path: Path) -> None:
    udp = UdpSource("127.0.0.1", 0, receive_buffer=1024 * 1024, metrics=Counters())
    listener, spool = UdpListener(udp), Spool(tmp_path, PLENTY)

    class Kept:
        def keep(self, arrivals: Sequence[Arrival]) -> None:
            for arrival in arrivals:
                spool.append(arrival.lines, arrival.arrived_ms)

    listener.open(Kept(), lambda _: None)  # type: ignore[arg-type]
    listener._closed.set()
    assert listener._receiver is not None
    listener._receiver.join()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"at the last moment", udp.address)
    listener.close()
    assert [one.line for one in spool.read(10)] == [b"at the last moment"]
    spool.close()


def test_lines_that_belong_together_are_taken_all_or_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    assert spool.append(numbered(0, 3), 1, together=True) == 3
    assert spool.append(numbered(3, 90), 1, together=True) == 0
    assert spool.append(numbered(3, 90), 1) > 0
    assert rest(spool)[:4] == numbered(0, 4)
    spool.close()
