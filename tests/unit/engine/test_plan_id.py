"""The id of a plan: the same for the same inputs, whenever it is made, and another for another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.engine.planfile import sealed
from provisioner.engine.planner import make_plan
from provisioner.engine.selection import Selection
from tests.unit.engine.made import (
    MadeProvider,
    MadeRules,
    Situation,
    declared,
    ours,
    recorded,
)

SPECS: dict[str, dict[str, Any]] = {"Net/lan": {"mtu": 1500}, "Disk/web": {}}
APPLIED = Situation(
    tuple(declared(address, spec) for address, spec in SPECS.items()),
    tuple(recorded(address, spec) for address, spec in SPECS.items()),
    {address: ours(address, spec) for address, spec in SPECS.items()},
)


def edited(mtu: int) -> Situation:
    """The applied stack with another network."""
    return replace(APPLIED, declarations=(declared("Net/lan", {"mtu": mtu}), declared("Disk/web")))


def test_id_and_digest_are_the_same_for_the_same_and_others_for_another() -> None:
    edit = edited(9000)
    plan = edit.plan()
    assert (plan.id, plan.digest) == (edit.plan().id, edit.plan().digest)
    assert plan == sealed(plan)
    moved = {**edit.found, "Net/lan": ours("Net/lan", {"mtu": 1500}, fingerprint="another")}
    entries = tuple(
        replace(entry, serial=4) if entry.address == Address("Net", "lan") else entry
        for entry in edit.entries
    )
    others = [
        edited(9001).plan(),
        edit.plan(consents=(Address("Disk", "web"),)),
        edit.plan(max_impact=Impact.RESTART),
        edit.plan(selection=Selection((AddressPattern("Net", "*"),))),
        replace(edit, hosts={"here": {"site": "b"}, "there": {}}).plan(),
        replace(edit, found=moved).plan(),
        replace(edit, entries=entries).plan(),
        replace(edit, provider=MadeProvider(version="1.2.4")).plan(),
        replace(edit, rules=MadeRules(digest="other schemas")).plan(),
        make_plan(replace(edit.request(), environment="prod")),
    ]
    assert 11 == len({plan.id, *(other.id for other in others)})
    assert 11 == len({plan.digest, *(other.digest for other in others)})


def test_the_id_does_not_depend_on_when_and_how_it_is_said() -> None:
    edit = edited(9000)
    plan = edit.plan()
    request = edit.request()
    others = [
        edit.plan(now="2027-02-02T00:00:00+00:00"),
        edit.plan(tool_version="0.2"),
        replace(edit, provider=MadeProvider(wording="is another")).plan(),
        make_plan(replace(request, state=replace(request.state, serial=6))),
    ]
    assert {plan.id} == {other.id for other in others}
    assert 5 == len({plan.digest, *(other.digest for other in others)})


def test_the_id_does_not_depend_on_what_the_plan_does_not_touch() -> None:
    edit = edited(9000)
    more = replace(
        edit,
        declarations=(*edit.declarations, declared("Net/more")),
        entries=(*edit.entries, recorded("Net/more")),
        found={**edit.found, "Net/more": ours("Net/more")},
    )
    assert (edit.plan().id, edit.plan().unchanged + 1) == (more.plan().id, more.plan().unchanged)
