"""Bad manifests, a table as data (tests/lifecycle/bad_input): every error at its place, nothing
changed, nothing lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.refused import check_refused
from tests.lifecycle.unharmed import unharmed

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['case']}")
    for path in sorted((Path(__file__).parent / "bad_input").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", CASES)
def test_bad_manifests(applied: CommandLine, case: Mapping[str, Any]) -> None:
    with unharmed(applied):
        for name, text in case["files"].items():
            (applied.root / name).parent.mkdir(exist_ok=True)
            (applied.root / name).write_text(text, encoding="utf-8")
        check_refused(applied, case["errors"], case.get("options", ()))
