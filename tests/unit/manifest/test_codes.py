"""Every code of the manifest layer is documented, and only those."""

import re
from pathlib import Path

import provisioner.manifest

ROOT = Path(__file__).resolve().parents[3]


def codes(text: str) -> set[str]:
    return set(re.findall(r"PRV1[0-4]\d\d", text))


def test_the_codes_are_those_of_the_documentation():
    folder = Path(provisioner.manifest.__file__).parent
    given = set().union(*(codes(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")))
    documented = re.findall(
        r"^\| (PRV1[0-4]\d\d) ", (ROOT / "docs/diagnostics.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(given) == sorted(documented)
