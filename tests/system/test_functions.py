# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Functions of inputs and outputs on the real parts, as the example of docs/instances.md has them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from outputs import count, fill, logged
from topology import BIN, ROOT, Topology
from waiting import wait_for

from elworkers.config.uris import parse
from elworkers.connectors.sql import engine

DEADLINE_S = 60.0
BOT, MEDIAWIKI = {"is_bot": True, "is_mediawiki": False}, {"is_bot": True, "is_mediawiki": True}
ACTIONS = ("save", "bot", "cancel", "test", "none", "sleep")


def example(name: str) -> str:
    """A code block of the page."""
    page = (ROOT / "docs" / "instances.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- the example's {name} -->\n```(?:python)?\n(.*?)```", page, re.DOTALL)
    assert found is not None, name
    return found[1]


def schemas(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / "schemas" / name / "1.json"
        path.parent.mkdir(parents=True)
        path.write_text('{"properties": {"action": {"type": "string"}}}', encoding="utf-8")
    return folder / "schemas"


def event(schema: str, number: int, action: str) -> bytes:
    agent = {"bot": BOT, "cancel": MEDIAWIKI}.get(action, {"browser_family": "Chrome"})
    capsule = {"schema": schema, "revision": 1, "wiki": "w", "recvFrom": "cp1", "webHost": "h", "seqId": number}
    proper = {} if action == "none" else {"action": action}
    return json.dumps({**capsule, "dt": "2017-11-01T11:00:00", "userAgent": agent, "event": proper}).encode()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["forwarder", "filter://file://{lines}?function=is_not_bot", "stdout:"], ["A0", "no event", "A2"]),
        (["forwarder", "file://{lines}", "filter://stdout:?function=is_not_bot"], ["A0", "no event", "A2"]),
        (["consumer", "filter://file://{lines}?raw=True&function=is_not_bot", "stdout:"], ["A0", "no event", "A2"]),
        (["multiplexer", "stdout:", "filter://file://{lines}?function=is_not_bot"], ["A0", "no event", "A2"]),
        (
            ["processor", "%j", "filter://file://{lines}?function=is_not_bot", "stdout:", "--output-invalid"],
            ["A0", "E", "A2"],
        ),
        (
            ["processor", "%j", "file://{lines}", "filter://stdout:?function=is_not_bot", "--output-invalid"],
            ["A0", "E", "A2"],
        ),
        (
            ["processor", "%j", "file://{lines}", "stdout:", "filter://stdout:?function=is_not_bot"],
            ["A0", "A0", "A1", "A2", "A2"],
        ),
    ],
)
def test_every_role_sends_events_through_functions(command: list[str], expected: list[str], tmp_path: Path) -> None:
    lines = [
        event("A", 0, "save"),
        b"no event",
        event("A", 1, "bot"),
        event("A", 2, "cancel").replace(b"true", b"false"),
    ]
    (tmp_path / "lines").write_bytes(b"\n".join(lines) + b"\n")
    role, *words = [word.replace("{lines}", str(tmp_path / "lines")) for word in command]
    words += [f"--schemas={schemas(tmp_path, 'A')}"] if role == "processor" else []
    done = subprocess.run([BIN / f"eventlogging-{role}", *words], capture_output=True, check=True, timeout=60)
    found = [_short(line) for line in done.stdout.decode().splitlines()]
    assert sorted(found) == sorted(expected)


def _short(line: str) -> str:
    if not line.startswith("{"):
        return line
    found = json.loads(line)
    return "E" if found["schema"] == "EventError" else f"{found['schema']}{found['seqId']}"


def rows(uri: str, table: str) -> list[tuple[str, ...]]:
    """Time, host, agent and action of each row; none where there is no table."""
    with engine.engine(parse(uri)).connect() as connection:
        if not sqlalchemy.inspect(connection).has_table(table):
            return []
        found = connection.execute(
            sqlalchemy.text(f"SELECT timestamp, webHost, userAgent, event_action FROM `{table}` ORDER BY event_action")  # noqa: S608
        )
        return [tuple(row) for row in found]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_the_example_does_what_the_page_says(
    topology: Callable[..., Topology], kafka: str, mariadb: str, unique: Callable[[str], str], tmp_path: Path
) -> None:
    raw, mixed, schema, old = (unique(name) for name in ("raw", "mixed", "Edit", "Old"))
    module = f"site_functions_{unique('of')}"
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / f"{module}.py").write_text(
        example("module") + f"\n\ndef is_ours(event):\n    return event['event']['schema'] == '{schema}'\n"
        "\n\ndef naps(event):\n    import time\n\n"
        "    return time.sleep(60 if event['event'].get('action') == 'sleep' else 0) or event\n",
        encoding="utf-8",
    )
    site = topology(
        {
            "EVENTLOGGING_FUNCTION_PATH": str(tmp_path / "functions"),
            "EVENTLOGGING_SCHEMAS": str(schemas(tmp_path, schema, old)),
        }
    )
    here = {
        "k1:9092": kafka,
        "eventlogging-client-side": raw,
        "identity=client-side": f"identity={raw}",
        "eventlogging-valid-mixed": mixed,
        "eventlogging_consumer_mysql_00": mixed,
        "mysql://eventlogging:eventlogging@db1:3306/log": f"{mariadb.partition('?')[0]}?batch_seconds=1",
        "Old,Older": old,
        "site_functions": module,
    }

    def as_here(text: str) -> str:
        for there, ours in here.items():
            text = text.replace(there, ours)
        return text

    site.instance("processor/client-side", as_here(example("processor")), "--event-timeout 1.5").chmod(0o640)
    site.instance("consumer/mysql", as_here(example("consumer"))).chmod(0o640)
    site.instance(
        "consumer/errors",
        f"filter://kafka:///{kafka}?topic=eventlogging_EventError&identity={mixed}&function={module}:is_ours",
        f"file://{tmp_path}/errors.log",
    )
    site.instance(
        "consumer/slow",
        f"kafka:///{kafka}?topic={mixed}&identity={mixed}_slow",
        f"map://file://{tmp_path}/slow.log?function={module}:naps",
        "--event-timeout=1.5",
    )
    site.instance("consumer/wrong", f"map://kafka:///{kafka}?topic=t&function={module}:nap", "stdout:", "--sid=x")

    said = site.ctl("start", expect=78).stderr
    assert f"{site.config_dir}/consumers/wrong:1: map URI: function={module}:nap: " in said
    assert "has no nap; did you mean naps?" in said
    fill(kafka, raw, [event(schema, number, action) for number, action in enumerate(ACTIONS)])
    fill(kafka, raw, [event(old, 9, "save")])

    table = f"{schema}_1"
    wait_for(lambda: len(rows(mariadb, table)) >= 3, DEADLINE_S, "rows")
    time = "20171101110000"
    assert rows(mariadb, table) == [
        (time, None, json.dumps(MEDIAWIKI), "cancel"),
        (time, None, '{"browser_family": "Chrome"}', "save"),
        (time, None, '{"browser_family": "Chrome"}', "sleep"),
    ]
    wait_for(lambda: len(lines(tmp_path / "errors.log")) >= 2, DEADLINE_S, "EventErrors")
    told = sorted(json.loads(line)["event"]["message"] for line in lines(tmp_path / "errors.log"))
    assert told == [
        f"function {module}:is_wanted failed: KeyError: 'action'",
        f"function {module}:naps took more than 1.5 s",
    ]
    assert count(kafka, mixed) == len(ACTIONS)
    wait_for(lambda: len(lines(tmp_path / "slow.log")) == len(ACTIONS) - 1, DEADLINE_S, "all others of the slow one")
    site.ctl("stop")
    done = {
        name: logged(site.run_dir / "log" / f"{name}.log", "worker done")[-1]
        for name in ("consumer-mysql", "consumer-slow")
    }
    assert (done["consumer-mysql"]["events_left_out"], done["consumer-mysql"]["events_invalid"]) == (2, 1)
    assert done["consumer-slow"]["records_refused"] == 1
