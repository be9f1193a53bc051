"""What holds for every stack and every edit, tried on random ones. Those with faults, and with
records that no apply has left like that, are in tests/fuzz.

Each property runs the same examples on every machine. A failure prints the manifests that show it
and the line that repeats it. ``--slow`` tries others, more of them, and reduces a failure to the
smallest stack that still shows it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, reject, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.core.values import Path as FieldPath
from provisioner.engine import planfile
from provisioner.engine.apply import ApplyReport
from provisioner.engine.decide import DELETE_FIRST
from provisioner.engine.diff import differences, with_defaults
from provisioner.engine.plan import Plan, stamp_address
from provisioner.manifest.canonical import Findings
from provisioner.manifest.fields import walk
from provisioner.manifest.printer import print_stack
from provisioner.providers.api import Present
from provisioner.state.model import State
from provisioner_plugins.memory.description import DEFAULTS
from provisioner_plugins.memory.documents import changed
from provisioner_plugins.memory.objects import StoredObject
from tests.lifecycle.estate import Estate, disagreement, estate
from tests.lifecycle.fitting import ORDER
from tests.lifecycle.fitting_world import Document
from tests.lifecycle.generate import edits, specs, stacks
from tests.lifecycle.oracle import Spec, Views, resource_of
from tests.lifecycle.scenario import CATALOG, outline

IN_USE = "PRV5913"
STORED = ("Disk", "Image")
Objects = Mapping[tuple[str, str], StoredObject]
Property = Callable[[DataObject], None]

CHECKS = list(HealthCheck)
QUICK = settings(
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=CHECKS,
    # Reducing a failure can take minutes; --slow does it.
    phases=[Phase.generate],
)
AT_LENGTH = settings(print_blob=True, suppress_health_check=CHECKS)


def steps_of(plan: Plan) -> list[str]:
    """What a plan would do, and what of it protection forbids left out."""
    return outline(plan)[: len(plan.steps)]


def carry_out(world: Estate, documents: Sequence[Document]) -> None:
    """Declare, plan and apply: everything is as declared then, and nothing is left to do."""
    world.declare(documents)
    plan = world.plan()
    objects, state = world.objects(), world.state()
    note("\n".join(outline(plan)))
    report = world.scenario.apply(plan)
    for problem in report.problems:
        note(f"{problem.address}: {problem.summary}")
    check_done(report, _deleted_first(plan))
    check_result(world, plan, objects, state)
    held = {step.address for step in plan.held}
    again = world.plan()
    if again.steps and held.issuperset(step.address for step in again.steps):
        # A pool, say, is replaced when what was in it has moved.
        check_done(world.scenario.apply(again), _deleted_first(again))
    check_settled(world)


def _deleted_first(plan: Plan) -> set[Address]:
    """What others may hold on to though it is to be deleted first, as its author wants it."""
    first = [step.previous for step in plan.steps if step.replace_order == DELETE_FIRST]
    return {old.address for old in first if old is not None and old.address.kind in STORED}


def check_done(report: ApplyReport, may_be_needed: Collection[Address]) -> None:
    """All was done. Where some of these are still needed by others, that was refused, which only
    the author can help: such an example says no more.
    """
    needed = {problem.address for problem in report.problems if problem.code == IN_USE}
    if needed and needed <= {str(address) for address in may_be_needed}:
        reject()
    assert () == report.problems
    assert "done" == report.outcome


def check_settled(world: Estate) -> None:
    """Nothing is left to do, half done, or there twice."""
    again = world.plan()
    for step in again.steps:
        note(f"once more: {step.action.value} {step.id} {step.reason} {step.changes}")
    assert ([], ()) == (steps_of(again), again.refresh)
    state, objects = world.state(), world.objects()
    # A predecessor that a clone still needs stays, and so does what is noted about it.
    needed = {stamp_address(item.address) for item in again.kept}
    assert set() == {resource_of(intent) for intent in state.open_intents} - needed
    owners = [item.owner for item in objects.values() if item.owner]
    assert sorted(set(owners)) == sorted(owners)
    recorded = {(entry.endpoint, entry.external_id) for entry in state.entries.values()}
    kept = {key for key, item in objects.items() if item.kind in ("Disk", "Image")}
    assert set() == {key for key in objects if objects[key].owner} - recorded - kept


def check_result(world: Estate, plan: Plan, objects: Objects, state: State) -> None:
    """Every object is what three-way rules make of it. ``objects`` and ``state`` are those from
    before the plan was carried out.
    """
    held = {step.address for step in plan.held}
    steps = {step.id: step for step in plan.steps}
    after, found = world.state(), world.objects()
    wrong: list[str] = []
    declared = world.declared()
    for address, desired in world.desired().items():
        if address in held:
            continue
        entry = after.entries[address]
        assert declared[address].host == entry.endpoint
        item = found[entry.endpoint, str(entry.external_id)]
        assert Stamp(str(after.lineage), str(address), entry.generation) == item.owner
        assert {} == item.running
        step = steps.get(str(address))
        old = step.previous.address if step is not None and step.previous is not None else address
        before = state.entries.get(old)
        if before is None or (step and step.action in (Action.CREATE, Action.REPLACE)):
            if desired != world.made(item):
                wrong.append(f"{address} was made as {world.made(item)}, not as {desired}")
            continue
        was = objects[before.endpoint, str(before.external_id)]
        views = Views(world.told(item), desired, world.recorded(before, state), world.told(was))
        wrong += disagreement(address, views)
    note("\n".join(wrong))
    assert [] == wrong


def an_edit_is_carried_out(data: DataObject) -> None:
    """Apply leaves nothing to do, for a new stack and for one that was worked on; a plan survives
    its file; destroying leaves only data that is to be kept.
    """
    first = data.draw(stacks())
    with estate() as world:
        carry_out(world, first)
        world.declare(data.draw(edits(first)))
        check_file(world.plan(), world.root / "x.plan")
        carry_out(world, data.draw(edits(first)))
        check_destruction(world)


def check_file(plan: Plan, path: Path) -> None:
    planfile.write(plan, path)
    # Of warnings the file keeps the places, not the lines that stand there.
    assert replace(plan, warnings=()) == replace(planfile.read(path), warnings=())


def check_destruction(world: Estate) -> None:
    plan = world.plan(destroy=True)
    # A linked clone that was kept when it was taken out of the stack needs its image.
    images = {step.address for step in plan.steps if step.address.kind == "Image"}
    check_done(world.scenario.apply(plan), images)
    held = {step.address for step in plan.held}
    assert held == set(world.state().entries)
    kinds = {item.kind for item in world.objects().values()}
    assert kinds <= {"Disk", "Image"} | {address.kind for address in held}


def interference_is_repaired(data: DataObject) -> None:
    """Whatever others did to our objects, the next apply brings back what is declared and leaves
    alone what is not.
    """
    first = data.draw(stacks())
    with estate() as world:
        carry_out(world, first)
        # Ids are new in each run, so they say nothing about the order.
        found = [(host, item) for (host, _), item in world.objects().items()]
        for host, item in sorted(found, key=lambda pair: (pair[0], pair[1].kind, pair[1].name)):
            interfere(data, world, host, item)
        carry_out(world, data.draw(edits(first)))


def interfere(data: DataObject, world: Estate, host: str, item: StoredObject) -> None:
    """Have somebody else remove an object, change a field of it, or add one to it."""
    outside = world.outside(host)
    if len([other for other in outside.objects() if other.name == item.name]) != 1:
        return
    what = data.draw(st.sampled_from(("nothing", "remove", "change", "add")))
    note(f"somebody: {what} {item.kind}/{item.name} on {host}")
    if what == "remove":
        outside.remove(item.kind, item.name)
    elif what == "change":
        path, value = data.draw(st.sampled_from(leaves(item.spec)))
        outside.change(item.kind, item.name, path, other_value(value))
    elif what == "add":
        path, value = data.draw(st.sampled_from(ADDED))
        if path[0] in CATALOG.kind(item.kind).canonical.children:
            outside.change(item.kind, item.name, path, value)


ADDED: tuple[tuple[FieldPath, Any], ...] = (
    (("description",), "by hand"),
    (("mtu",), 1400),
    (("labels", "by"), "hand"),
    (("nics", "extra"), {"network": "n0"}),
    (("cpu", "nested"), True),
    (("autostart",), True),
)


def leaves(spec: Spec, path: FieldPath = ()) -> list[tuple[FieldPath, Any]]:
    found = []
    for key, value in spec.items():
        if isinstance(value, Mapping) and value:
            found += leaves(value, (*path, key))
        else:
            found.append(((*path, key), value))
    return found


def other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}x" if isinstance(value, str) else None


def a_difference_leads_to_what_is_desired(data: DataObject) -> None:
    """Carrying out the changes between what is there and what is desired leaves none, and makes of
    the object what three-way rules say.
    """
    kind = data.draw(st.sampled_from(ORDER))
    recorded, desired, others = (canonical(kind, data.draw(specs(kind))) for _ in range(3))
    before = mixture(data, recorded, others)
    note(f"{kind}\nrecorded {recorded}\ndesired {desired}\nbefore {before}")
    rules = CATALOG.kind(kind)
    wanted = with_defaults(desired, recorded, DEFAULTS.get(kind, {}))
    changes = differences(wanted, recorded, Present("x", None, before, "f"), rules)
    after = changed(before, [(change.path, change.after) for change in changes], desired)
    assert [] == disagreement(Address(kind, "x"), Views(after, desired, recorded, before))
    assert [] == differences(desired, desired, Present("x", None, after, "f"), rules)


def canonical(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form of a spec by itself."""
    findings = Findings()
    result: dict[str, Any] = CATALOG.kind(kind).canonicalise(copy.deepcopy(spec), findings)
    return result


def mixture(data: DataObject, first: Spec, second: Spec) -> dict[str, Any]:
    """Fields of both, where both have one: of either."""
    result: dict[str, Any] = {}
    for key in {**first, **second}:
        if isinstance(first.get(key), dict) and isinstance(second.get(key), dict):
            result[key] = mixture(data, first[key], second[key])
        else:
            chosen = data.draw(st.sampled_from((first, first, second)))
            if key in chosen:
                result[key] = copy.deepcopy(chosen[key])
    return result


def a_printed_stack_is_the_same_stack(data: DataObject) -> None:
    """What the printer writes is read back as the same stack."""
    with estate() as world:
        world.declare(data.draw(stacks()))
        workspace = world.scenario.workspace()
        stack = workspace.load()
        connections = {"memory": workspace.registry.get("memory").describe().connection_schema}
        text = print_stack(stack, CATALOG, connections)
        note(text)
        for path in world.root.glob("*.yaml"):
            path.unlink()
        world.scenario.write("printed.yaml", text)
        again = workspace.load()
        assert (stack.name, stack.max_impact) == (again.name, again.max_impact)
        for old, new in zip(stack.declarations.values(), again.declarations.values(), strict=True):
            assert (old.address, old.spec, old.host) == (new.address, new.spec, new.host)
            assert (old.protect, old.renamed_from) == (new.protect, new.renamed_from)
            assert (old.replace_order, set(old.references)) == (
                new.replace_order,
                set(new.references),
            )
        assert {name: (host.provider, host.spec) for name, host in stack.hosts.items()} == {
            name: (host.provider, host.spec) for name, host in again.hosts.items()
        }


@settings(QUICK, max_examples=20)
@given(st.data())
def test_an_edit_is_carried_out(data: DataObject) -> None:
    an_edit_is_carried_out(data)


@settings(QUICK, max_examples=15)
@given(st.data())
def test_interference_is_repaired(data: DataObject) -> None:
    interference_is_repaired(data)


@settings(QUICK, max_examples=250)
@given(st.data())
def test_a_difference_leads_to_what_is_desired(data: DataObject) -> None:
    a_difference_leads_to_what_is_desired(data)


@settings(QUICK, max_examples=40)
@given(st.data())
def test_a_printed_stack_is_the_same_stack(data: DataObject) -> None:
    a_printed_stack_is_the_same_stack(data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "check",
    [
        an_edit_is_carried_out,
        interference_is_repaired,
        a_difference_leads_to_what_is_desired,
        a_printed_stack_is_the_same_stack,
    ],
    ids=lambda check: check.__name__,
)
def test_at_length(check: Property, request: pytest.FixtureRequest) -> None:
    examples = request.config.getoption("--examples") or 400
    settings(AT_LENGTH, max_examples=examples)(given(st.data())(check))()


def test_every_field_is_tried() -> None:
    """What is never generated proves nothing: every field of every kind occurs in some stack (those
    of metadata, which all kinds share, in some kind). Left out are those that only mean something
    together with what was there before: test_rename.py, test_external_name.py and test_manage.py
    are about them; and those that refer to the kinds of an inventory, which no such stack has.
    """
    elsewhere = ("*", "renamedFrom", "externalName", "manage")
    seen: set[tuple[str, ...]] = set()

    @settings(QUICK, max_examples=400)
    @given(stacks())
    def collect(documents: list[Document]) -> None:
        for document in documents:
            seen.update((document["kind"], *path) for path in paths(document["spec"]))
            seen.update(("metadata", *path) for path in paths(document["metadata"]))

    collect()
    expected = {
        (path[0] if path[0] == "metadata" else kind, *path[1:])
        for kind in ORDER
        for path, field in walk(CATALOG.kinds[kind].document)
        if path[1:] and path[0] in ("metadata", "spec") and path[-1] not in elsewhere
        if {*field.references} <= {*ORDER, "Host"}
    }
    assert set() == expected - seen


def paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all fields; ``*`` stands for any element of a list."""
    found = []
    if isinstance(value, dict):
        for key, child in value.items():
            found += [(*path, key), *paths(child, (*path, key))]
    elif isinstance(value, list):
        for child in value:
            found += paths(child, (*path, "*"))
    return found
