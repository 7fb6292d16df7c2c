"""The spool: order, crashes, bounds."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_for

from elworkers.errors import RetryableError
from elworkers.runtime.metrics import Counters
from elworkers.sources.datagrams import DatagramDoor
from elworkers.sources.spool import Spool
from elworkers.sources.spooled import SpooledSource
from elworkers.sources.udp import UdpSource

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
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "done").write_text("no number", encoding="utf-8")
    with pytest.raises(RetryableError, match="no number"):
        Spool(tmp_path / "spool", PLENTY)


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
    return SpooledSource(DatagramDoor(udp), Spool(folder, max_bytes), metrics), udp


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
    door, spool = DatagramDoor(udp), Spool(tmp_path, PLENTY)
    door.open(lambda lines, now_ms, _: spool.append(lines, now_ms), lambda _: None)
    door._closed.set()
    assert door._receiver is not None
    door._receiver.join()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"at the last moment", udp.address)
    door.close()
    assert [one.line for one in spool.read(10)] == [b"at the last moment"]
    spool.close()


def test_lines_that_belong_together_are_taken_all_or_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    assert spool.append(numbered(0, 3), 1, together=True) == 3
    assert spool.append(numbered(3, 90), 1, together=True) == 0
    assert spool.append(numbered(3, 90), 1) > 0
    assert rest(spool)[:4] == numbered(0, 4)
    spool.close()
