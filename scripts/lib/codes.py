"""Writes what reports say of each code, from the tables of docs/diagnostics.md.

Run by scripts/codes. The program has no documents with it where it is installed.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "diagnostics.md"
FILE = ROOT / "provisioner" / "cli" / "render" / "codes.json"

_HEADING = re.compile(r"^#{2,} (.+)$")
_ROW = re.compile(r"^\| PRV(\d{4})(?: to PRV(\d{4}))? \| (.+) \|$")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def codes(document: str) -> dict[str, dict[str, str]]:
    """``section`` and ``text`` by code, as plain text."""
    found = {}
    section = ""
    for line in document.splitlines():
        heading, row = _HEADING.match(line), _ROW.match(line)
        if heading:
            section = heading[1]
        elif row:
            text = _LINK.sub(r"\1", row[3]).replace("`", "")
            for number in range(int(row[1]), int(row[2] or row[1]) + 1):
                found[f"PRV{number:04}"] = {"section": section, "text": text}
    return dict(sorted(found.items()))


def main(arguments: list[str]) -> int:
    """Write the file, or check it; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/codes", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    options = parser.parse_args(arguments)
    found = codes(DOCUMENT.read_text(encoding="utf-8"))
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print(f"{FILE} is not what {DOCUMENT.name} says: run scripts/codes")
        return 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
