"""Writes what reports say of each code, from the tables of docs/diagnostics.md.

Run by scripts/codes. The program has no documents with it where it is installed.
"""

import json
import re
import sys

from generated import ROOT, keep

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
    found = codes(DOCUMENT.read_text(encoding="utf-8"))
    return keep("codes", FILE, json.dumps(found, indent=1, ensure_ascii=False) + "\n", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
