"""Names that somebody else has taken on the endpoint: all of them are told, none is touched."""

from __future__ import annotations

import pytest

from provisioner.core.identity import Stamp
from tests.lifecycle.commandline import OBJECTS, CommandLine
from tests.lifecycle.refused import check_errors, diagnostics
from tests.lifecycle.stacks import ALL
from tests.lifecycle.unharmed import unharmed

OTHERS = Stamp("11111111-2222-3333-4444-555555555555", "Network/theirs")
TAKEN = ("Network/first\nmode: user\n", "StoragePool/second\ntype: dir\npath: /srv/second\n")


@pytest.mark.parametrize(
    ("owner", "code", "words"),
    [
        (None, "PRV2010", "by an object that is not ours | provisioner adopt"),
        (OTHERS, "PRV2011", "of another stack, or of another environment of this one"),
    ],
    ids=["nobody", "another stack"],
)
def test_every_taken_name_is_told(
    applied: CommandLine, owner: Stamp | None, code: str, words: str
) -> None:
    applied.outside.add("Network", "first", {"mode": "nat"}, owner)
    applied.outside.add("StoragePool", "second", {"type": "dir", "path": "/other"}, owner)
    with unharmed(applied):
        applied.declare(*ALL, *TAKEN)
        lines = (applied.root / "resources.yaml").read_text().splitlines()
        expected = [
            f"{code} resources.yaml:{lines.index(f'  name: {name}') + 1}:9"
            f" the name '{name}' is taken | {words}"
            for name in ("first", "second")
        ]
        for command in (("plan",), ("apply", "--yes")):
            refused = applied(*command, "--json")
            assert 1 == refused.code
            check_errors(applied.root, diagnostics(refused), expected)


def test_a_name_that_is_taken_while_applying(applied: CommandLine) -> None:
    """Between the plan and the apply: the plan is stale, and theirs stays as it is."""
    applied.declare(*ALL, TAKEN[0])
    assert 0 == applied("plan", "-o", "more.plan").code
    applied.outside.add("Network", "first", {"mode": "nat"})
    before = (applied.root / OBJECTS).read_bytes()
    stale = applied("apply", "more.plan", "--json")
    assert (3, ["PRV3001"]) == (stale.code, stale.codes)
    assert before == (applied.root / OBJECTS).read_bytes()
