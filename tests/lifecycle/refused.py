"""Commands that have to refuse a stack's manifests, and what they must say about it.

Called by the tests of bad input. An expected error is one line of text:
``PRV1011 more.yaml:3:1 words of the message | other words of it``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lifecycle.commandline import CommandLine, Finished

COMMANDS = (("validate",), ("plan",), ("apply", "--yes"))
ONLY_PLANNED = frozenset({"PRV1501", "PRV1502"})
"""What ``validate`` only warns of: the machine that checks manifests need not have the secrets."""


def check_refused(cli: CommandLine, expected: Sequence[str], options: Sequence[str] = ()) -> None:
    """Every command ends with exit code 1 and reports exactly these errors, for people and as
    JSON; ``validate`` those that are errors for it.
    """
    every = expected
    for command in COMMANDS:
        planned = command != ("validate",)
        expected = [line for line in every if planned or line.split()[0] not in ONLY_PLANNED]
        if not expected:
            continue
        told = cli(*command, *options, "--json")
        assert 1 == told.code
        check_errors(cli.root, diagnostics(told), expected)
        shown = cli(*command, *options)
        assert 1 == shown.code
        for line in expected:
            code, place, _ = line.split(" ", 2)
            assert f"error[{code}]: " in shown.err
            assert f"--> {place}\n" in shown.err


def diagnostics(finished: Finished) -> list[dict[str, Any]]:
    """What a run with ``--json`` told: lines of the error stream, or a part of the answer where the
    command is about nothing else.
    """
    lines: list[dict[str, Any]] = [json.loads(line) for line in finished.err.splitlines()]
    return lines or finished.json["diagnostics"]


def check_errors(root: Path, found: list[dict[str, Any]], expected: Sequence[str]) -> None:
    """The errors among the diagnostics are the expected ones, in this order."""
    errors = [item for item in found if item["severity"] == "error"]
    assert [line.split(" ", 2)[:2] for line in expected] == [
        [item["code"], _place(root, item.get("source"))] for item in errors
    ]
    for line, item in zip(expected, errors, strict=True):
        said = " ".join(item.get(part, "") for part in ("summary", "detail", "hint"))
        related = " ".join(_place(root, other) for other in item.get("related", ()))
        for words in line.split(" ", 2)[2].split(" | "):
            assert words in f"{said} {related}"


def _place(root: Path, source: Mapping[str, Any] | None) -> str:
    """``file:line:column``, the file as it is named in the stack."""
    if source is None:
        return "nowhere"
    name = Path(source["file"]).absolute().relative_to(root)
    return f"{name}:{source['line']}:{source['column']}"
