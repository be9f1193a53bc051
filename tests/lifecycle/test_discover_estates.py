"""The law of discovery on random estates: what is discovered is valid, and once it is adopted there
is nothing to do; then one edit plans one change.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from provisioner.engine.plan import Plan
from provisioner.service.adopt import make_adoption_plan
from provisioner.service.apply import apply_plan
from provisioner.service.discover import Choices, discover_uri
from provisioner.service.model import StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace
from tests.lifecycle.estate import Estate, estate
from tests.lifecycle.generate import stacks
from tests.lifecycle.scenario import outline

QUICK = settings(
    derandomize=True,
    database=None,
    print_blob=True,
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def abandoned(world: Estate, draw: DataObject) -> None:
    """Take the stamps off, but for some that are another stack's from now on."""
    inventory = world.outside("here")._inventory
    with inventory.changing():
        for item in inventory.objects():
            # Disks of others can be in nobody's manifest but to be looked at, as their machines.
            if not draw.draw(st.integers(0, 4), label="whose"):
                continue
            inventory.put(replace(item, owner=None))


class Successor:
    """A stack that is discovered."""

    def __init__(self, world: Estate) -> None:
        self._world = world
        self.folder = world.root.parent / f"{world.root.name}-discovered"

    def workspace(self, folder: Path | None = None) -> Workspace:
        other = self._world.scenario.workspace()
        return Workspace(
            folder or self.folder, environ={}, registry=other.registry, catalog=other.catalog
        )

    def discover(self, choices: Choices) -> None:
        discover_uri(
            self.workspace(self._world.root),
            f"memory://{self._world.root}/here.jsonl",
            self.folder,
            choices,
            lambda _: None,
        )
        for path in sorted(self.folder.rglob("*.yaml")):
            note(f"=== {path.relative_to(self.folder)}\n{path.read_text()}")
        validate(self.workspace())

    def adopt(self) -> None:
        workspace = self.workspace()
        plan = make_adoption_plan(workspace, (), lambda _: None)
        note("\n".join(outline(plan)))
        report = apply_plan(workspace, plan, lambda _: None, StopSignal())
        assert ("done", ()) == (report.outcome or "done", report.problems)

    def plan(self) -> Plan:
        return make_plan(self.workspace(), PlanChoices(), lambda _: None)


def edited(folder: Path) -> str | None:
    """Edit the first machine that may be changed; returns its address."""
    for path in sorted(folder.glob("virtualmachines/*.yaml")):
        document: Mapping[str, Any] | None = yaml.safe_load(path.read_text())
        if document is None or "manage" in document["metadata"]:
            continue
        before = document["spec"].get("description", "")
        spec = {**document["spec"], "description": f"{before.replace('$', '')} edited"}
        path.write_text(yaml.safe_dump({**document, "spec": spec}), "utf-8")
        return f"VirtualMachine/{document['metadata']['name']}"
    return None


def check(data: DataObject) -> None:
    with estate() as world:
        world.declare(data.draw(stacks()))
        world.scenario.apply(world.plan())
        abandoned(world, data)
        after = Successor(world)
        try:
            after.discover(Choices(grouped=data.draw(st.booleans(), label="grouped")))
            before = world.objects()
            after.adopt()
            plan = after.plan()
            steps = (*plan.steps, *plan.held)
            note("\n".join(f"{step.action.value} {step.id} {step.changes}" for step in steps))
            assert [] == outline(plan)
            now = world.objects()
            assert {key: item.spec for key, item in before.items()} == {
                key: item.spec for key, item in now.items()
            }
            address = edited(after.folder)
            if address is not None:
                assert [f"update {address}"] == outline(after.plan())
        finally:
            shutil.rmtree(after.folder, ignore_errors=True)


@QUICK
@given(st.data())
def test_what_is_discovered_and_adopted_leaves_nothing_to_do(data: DataObject) -> None:
    check(data)


@pytest.mark.slow
@settings(QUICK, derandomize=False, max_examples=300)
@given(st.data())
def test_at_length(data: DataObject) -> None:
    check(data)
