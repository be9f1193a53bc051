"""Which spellings mean one principal, and which changes take away the rights to undo them."""

from __future__ import annotations

import pytest

from provisioner_plugins.vmware.access.keeping import Grant, loss
from provisioner_plugins.vmware.access.principals import is_same

ROOT, FOLDER, MACHINE = "root", "folder", "machine"
UPWARDS = [MACHINE, FOLDER, ROOT]
USER = "me@lab.example"
SEES = frozenset({"System.Read"})
WORKS = SEES | {"VirtualMachine.Interact.PowerOn"}


def mine(entity: str, privileges: frozenset[str], *, propagates: bool = True) -> Grant:
    return Grant(entity, "LAB\\me", False, propagates, False, privileges)  # noqa: FBT003


def admin(principal: str, *, propagates: bool = True) -> Grant:
    return Grant(ROOT, principal, False, propagates, True, WORKS)  # noqa: FBT003


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("me@lab.example", "LAB.EXAMPLE\\me", True),
        ("me@lab.example", "LAB\\Me", True),
        ("me", "LAB\\me", True),
        ("me@lab.example", "me@lab.other", False),
        ("me@lab", "you@lab", False),
        ("me@lab", "OTHER\\me", False),
    ],
)
def test_spellings_of_a_principal(one: str, other: str, *, same: bool) -> None:
    assert same == is_same(one, other) == is_same(other, one)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([admin("x")], [], "Nobody"),
        ([admin("x")], [admin("x", propagates=False)], "Nobody"),
        ([admin("x"), admin("y")], [admin("y")], None),
        ([mine(FOLDER, WORKS)], [], "what me@lab.example has"),
        ([mine(FOLDER, WORKS)], [mine(FOLDER, SEES)], "would lose"),
        ([mine(FOLDER, WORKS)], [mine(FOLDER, WORKS), mine(MACHINE, SEES)], "would lose"),
        ([mine(FOLDER, WORKS), mine(MACHINE, SEES)], [mine(FOLDER, WORKS)], None),
        ([mine(FOLDER, SEES)], [mine(FOLDER, WORKS)], None),
        ([], [mine(MACHINE, frozenset())], "would not see"),
        ([], [mine(MACHINE, SEES)], None),
        ([mine(MACHINE, WORKS)], [mine(MACHINE, WORKS, propagates=False)], "propagation"),
    ],
)
def test_loss_of_own_rights(before: list[Grant], after: list[Grant], said: str | None) -> None:
    found = loss(before, after, UPWARDS, USER)
    assert (said is None) == (found is None)
    assert said is None or said in str(found)
