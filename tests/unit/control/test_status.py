"""Rows for operators, and the Nagios check."""

from __future__ import annotations

from elworkers.control.status import CRITICAL, OK, UNKNOWN, Row, nagios, table

FINE = Row("processor", "client-side-00", "RUNNING", 42, 90_061, alive=3, wanted=3, idle=1)
SHORT = Row("processor", "client-side-01", "RUNNING", 43, 5, alive=1, wanted=2)
ENDED = Row("consumer", "mysql", "EXITED", note="configuration: no database")
BROKEN = Row("consumer", "files", "RUNNING", 44, 5, alive=1, wanted=1, note="files:2: no such option", broken=True)


def test_a_row_says_what_is_missing_and_who_is_idle() -> None:
    lines = table([FINE, SHORT, ENDED, BROKEN]).splitlines()
    assert lines[0].split() == ["ROLE", "INSTANCE", "STATE", "PID", "UPTIME", "WORKERS"]
    assert lines[1].endswith("RUNNING  42   1d 1:01:01  3/3 (1 idle)")
    assert lines[2].endswith("0:00:05     1/2")
    assert lines[3].endswith("configuration: no database")
    assert lines[4].endswith("files:2: no such option")


def test_the_check_counts_workers_too() -> None:
    assert nagios([FINE]) == (OK, "OK: 1 EventLogging jobs are running.")
    assert nagios([FINE, BROKEN]) == (OK, "OK: 2 EventLogging jobs are running.")
    code, text = nagios([FINE, SHORT, ENDED])
    assert (code, text) == (
        CRITICAL,
        "CRITICAL: Stopped EventLogging jobs: processor/client-side-01 consumer/mysql",
    )
    assert nagios([])[0] == UNKNOWN
