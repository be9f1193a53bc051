"""The tests that failed in the last run of pytest, one a line, as its command line takes them. Run
by scripts/test.
"""

import json
import re
from pathlib import Path

_FOUND = Path(__file__).resolve().parents[2] / ".pytest_cache/v/cache/lastfailed"
_GROUP = re.compile(r"@[^@\]]*$")
"""What pytest-xdist adds to the name of a test that belongs to a group."""


def main() -> None:
    """Print them."""
    failed = json.loads(_FOUND.read_text(encoding="utf-8")) if _FOUND.exists() else {}
    for name in failed:
        print(_GROUP.sub("", name))


if __name__ == "__main__":
    main()
