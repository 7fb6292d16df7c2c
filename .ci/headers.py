# SPDX-FileCopyrightText: 2026 elworkers contributors
# SPDX-License-Identifier: Apache-2.0

"""Puts the two lines of the license at the head of each Python file that lacks them; run by `make headers`."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# SPDX-FileCopyrightText: 2026 elworkers contributors\n# SPDX-License-Identifier: Apache-2.0\n"
OURS = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"]


def with_header(text: str) -> str:
    """Return the text of a file with the two lines, behind a line for the shell where there is one."""
    if HEADER in text or not text:
        return text
    shell, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
    return (f"{shell}\n" if shell else "") + f"{HEADER}\n{rest}"


def main() -> None:
    """Write the files anew that have to be, and name them."""
    names = subprocess.run(OURS, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in (ROOT / name for name in names if name and (ROOT / name).exists()):
        text = path.read_text(encoding="utf-8")
        wanted = with_header(text)
        if wanted != text:
            path.write_text(wanted, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
