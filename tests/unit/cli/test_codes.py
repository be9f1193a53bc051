"""Every code of the command line and of use-cases stands in docs/diagnostics.md, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_codes_are_documented() -> None:
    given: set[str] = set()
    for folder in ("cli", "service", "discovery"):
        for module in (ROOT / "provisioner" / folder).rglob("*.py"):
            given |= set(re.findall(r'"(PRV\d{4})"', module.read_text(encoding="utf-8")))
    text = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| (PRV\d{4}) ", text, re.MULTILINE))
    # Others are given by the layers below and only told apart here.
    own = {code for code in given if code.startswith(("PRV15", "PRV6", "PRV9999"))}
    assert own == {code for code in documented if code.startswith(("PRV15", "PRV6", "PRV9999"))}
    assert len(own) > 10
