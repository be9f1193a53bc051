"""Bad manifests, a table as data (tests/lifecycle/bad_input): every error at its place, nothing
changed, nothing lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lifecycle.commandline import CommandLine, Finished
from tests.lifecycle.unharmed import unharmed

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['case']}")
    for path in sorted((Path(__file__).parent / "bad_input").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]
COMMANDS = (("validate",), ("plan",), ("apply", "--yes"))
ONLY_PLANNED = frozenset({"PRV1501"})
"""What ``validate`` only warns of: the machine that checks manifests need not have the secrets."""


@pytest.mark.parametrize("case", CASES)
def test_bad_manifests(applied: CommandLine, case: Mapping[str, Any]) -> None:
    with unharmed(applied):
        for name, text in case["files"].items():
            (applied.root / name).parent.mkdir(exist_ok=True)
            (applied.root / name).write_text(text, encoding="utf-8")
        options = case.get("options", [])
        for command in COMMANDS:
            if command == ("validate",) and case["errors"][0].split()[0] in ONLY_PLANNED:
                continue
            told = applied(*command, *options, "--json")
            assert 1 == told.code
            check_errors(applied.root, diagnostics(told), case["errors"])
            shown = applied(*command, *options)
            assert 1 == shown.code
            for expected in case["errors"]:
                code, place, _ = expected.split(" ", 2)
                assert f"error[{code}]: " in shown.err
                assert f"--> {place}\n" in shown.err


def diagnostics(finished: Finished) -> list[dict[str, Any]]:
    """What a run with ``--json`` told: lines of the error stream, or a part of the answer where the
    command is about nothing else.
    """
    lines = [json.loads(line) for line in finished.err.splitlines()]
    found: list[dict[str, Any]] = finished.json["diagnostics"] if finished.out else []
    return [*found, *lines]


def check_errors(root: Path, found: list[dict[str, Any]], expected: list[str]) -> None:
    errors = [item for item in found if item["severity"] == "error"]
    assert [text.split(" ", 2)[:2] for text in expected] == [
        [item["code"], place(root, item.get("source"))] for item in errors
    ]
    for text, item in zip(expected, errors, strict=True):
        said = " ".join(item.get(part, "") for part in ("summary", "detail", "hint"))
        related = " ".join(place(root, other) for other in item.get("related", ()))
        for words in text.split(" ", 2)[2].split(" | "):
            assert words in f"{said} {related}".replace(f"{root}/", "")


def place(root: Path, source: Mapping[str, Any] | None) -> str:
    """``file:line:column``, the file as it is named in the stack."""
    if source is None:
        return "nowhere"
    name = Path(source["file"]).resolve().relative_to(root.resolve())
    return f"{name}:{source['line']}:{source['column']}"
