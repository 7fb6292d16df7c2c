# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Lines and schemas that have held up others, to be sent among good ones: files of tests/cases, and kinds of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"

SOUND = "Fine"
"""A schema of tests/cases that is as it should be."""

INVALID_SCHEMAS: Mapping[str, Any] = {
    "NoSuchType": {"properties": {"a": {"type": "timestamp"}}},
    "NoSuchTypeAmongOthers": {"properties": {"a": {"type": ["integer", "timestamp"]}}},
    "NoSuchTypeFarInside": {
        "properties": {"a": {"properties": {"x": {"items": {"properties": {"b": {"type": "datetime"}}}}}}}
    },
    "NoSuchTypeBehindRef": {"properties": {"a": {"$ref": "#/parts/x"}}, "parts": {"x": {"type": "timestamp"}}},
    "BadPattern": {"properties": {"a": {"type": "string", "pattern": "("}}},
    "BadPatternName": {"properties": {"a": {"patternProperties": {"[": {"type": "string"}}}}},
    "BadPatternBehindRef": {
        "properties": {"a": {"$ref": "#/parts/x"}},
        "parts": {"x": {"patternProperties": {"(": {}}}},
    },
    "RefToNowhere": {"properties": {"a": {"$ref": "#/not/there"}}},
    "RefToNumber": {"properties": {"a": {"$ref": "#/parts/x"}}, "parts": {"x": 5}},
    "RefToTheNetwork": {"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}},
    "RefToItself": {"properties": {"a": {"$ref": "#/properties/a"}}},
    "RefIsNumber": {"properties": {"a": {"$ref": 5}}},
    "UnknownDraft": {"$schema": "http://json-schema.org/draft-05/schema#", "properties": {"a": {}}},
    "DraftIsNumber": {"$schema": 5, "properties": {"a": {}}},
    "PropertiesIsList": {"properties": ["a"]},
    "ExtendsIsNumber": {"extends": 7, "properties": {"a": {}}},
    "DivisibleByNothing": {"properties": {"a": {"type": "number", "divisibleBy": 0}}},
    "MultipleOfNothing": {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"multipleOf": 0}}},
    "MinimumIsText": {"properties": {"a": {"type": "number", "minimum": "low"}}},
    "EnumIsNumber": {"properties": {"a": {"enum": 5}}},
    "DependenciesIsNumber": {"properties": {"a": {}}, "dependencies": {"a": 5}},
    "IsList": ["a"],
    "IsText": "a",
    "IsNothing": None,
}
"""Name → content of its revision 1; an event `{"a": …}` of any of them has to become an EventError."""

UNREADABLE: Mapping[str, bytes] = {
    "NoJson": b"{",
    "NoText": b"\xff\xfe{\x00}\x00",
    "NothingAtAll": b"",
    "DeepInside": b'{"properties":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}
"""The same for files that no JSON parser takes."""

INVALID_NAMES = (
    "EventError/.",
    "EventError//",
    "EventError/",
    "/EventError",
    "./EventError",
    "EventError/./x",
    "EventError/../Fine",
    "..",
    ".",
    "/",
    "",
    " Fine",
    "Fine ",
    "Fine\0",
    "Fine\n",
    "F\u00edne",
    "Fine😀",
    "Fine%2F",
    "N" * 100_000,
)


def write_schemas(folder: Path) -> Path:
    """Make a folder of all schemas, those of tests/cases among them."""
    shutil.copytree(FOLDER / "schemas", folder)
    for name, content in INVALID_SCHEMAS.items():
        if not (folder / name).exists():
            _write(folder, name, json.dumps(content).encode())
    for name, text in UNREADABLE.items():
        _write(folder, name, text)
    (folder / "FolderForFile" / "1.json").mkdir(parents=True)
    return folder


def _write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).mkdir()
    (folder / name / "1.json").write_bytes(content)


def capsule(schema: Any, event: Any, number: int, **fields: Any) -> bytes:
    """A capsule of a schema's revision 1, in one line."""
    uuid = f"{number:032x}"
    made = {"schema": schema, "revision": 1, "wiki": "w", "recvFrom": "h", "seqId": number, "uuid": uuid}
    return json.dumps({**made, "timestamp": 1_600_000_000, "event": event, **fields}).encode()


def invalid_lines() -> list[bytes]:
    """Lines of which each has to become an EventError, and nothing else."""
    schemas = [*INVALID_SCHEMAS, *UNREADABLE, "FolderForFile"]
    lines = [capsule(name, {"a": {"x": [{"b": 1}]}}, at) for at, name in enumerate(schemas, 10_000)]
    lines += [capsule(name, {"a": 1}, at) for at, name in enumerate(INVALID_NAMES, 20_000)]
    lines += [
        capsule(SOUND, {"a": 1}, 30_000, revision=2**70),
        capsule(SOUND, {"a": 1}, 30_001, revision=True),
        capsule(SOUND, {"a": 1}, 30_002, revision=0),
        capsule(5, {"a": 1}, 30_003),
        capsule(["x"], {"a": 1}, 30_004),
        capsule({}, {"a": 1}, 30_005),
        capsule(SOUND, None, 30_006),
        b"[" * 50_000,
        b'{"schema": "Fine", "revision": 1, "event": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_001,
        b"\xff\xfe\x00",
        b'"text"',
        b"5",
    ]
    return lines


def case_lines() -> list[bytes]:
    """The capsules of tests/cases: each one is valid or becomes an EventError, and is accounted for at each place."""
    return [line for path in sorted(FOLDER.glob("*.lines")) for line in path.read_bytes().splitlines()]
