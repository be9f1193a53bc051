"""Carries out a case of the lifecycle fuzzing and checks what must hold after every operation, and
in the end.

Called by tests/fuzz/test_lifecycle.py, and by the tests that it prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.identity import Stamp, identity
from provisioner.engine.decide import DELETE_FIRST
from provisioner.engine.plan import Plan, intent_detail, stamp_address
from provisioner.providers.api import Endpoint
from provisioner.service.apply import ApplyReport, apply_plan
from provisioner.state.model import Entry, State
from provisioner.state.sqlite import SqliteStore
from provisioner_plugins.memory.objects import StoredObject
from tests.fuzz.cases import Case, Operation, Upheaval
from tests.lifecycle.estate import Estate, disagreement, estate
from tests.lifecycle.oracle import Views, resource_of
from tests.lifecycle.scenario import outline

OTHERS = "11111111-2222-3333-4444-555555555555"
LINEAGE = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
DEFECTS = {
    # A provider's defect; then states that are damaged, older, or not what the program believes.
    *("PRV5004", "PRV5005", "PRV5907"),
    *("PRV4001", "PRV4003", "PRV4010", "PRV4012", "PRV4014"),
}
"""Codes that say that something is wrong with the program."""
IN_USE = "PRV5913"
DATA = ("Disk", "Image")
RUNS = 4
"""Runs without faults within which everything is as declared: what nobody owned is adopted before
it is changed, and a pool goes when what was in it has moved.
"""


class Unsuitable(Exception):
    """Only the author of such a stack can help: the case shows nothing."""


class Evidence(NamedTuple):
    """The records, and the endpoints' own: objects by host and id."""

    state: State
    objects: Mapping[tuple[str, str], StoredObject]

    def unknown(self) -> set[tuple[str, str]]:
        """Objects with our stamp that neither an entry nor an intent tells of."""
        state = self.state
        known = {(entry.endpoint, entry.external_id) for entry in state.entries.values()}
        for intent in state.open_intents:
            if intent.detail:
                host = str(intent.detail["endpoint"])
                known |= {(host, str(intent.detail[key])) for key in ("uid", "external_id")}
        return {key for key, item in self.objects.items() if is_ours(item)} - known

    def kept(self) -> set[tuple[str, str]]:
        """Objects that stay when their resource is removed, whether it is recorded or was begun: a
        disk that is kept keeps its image.
        """
        recorded = [
            (entry.address, entry.spec, (entry.endpoint, str(entry.external_id)))
            for entry in self.state.entries.values()
        ]
        begun = [
            (
                intent.address,
                intent.detail["spec"],
                (intent.detail["endpoint"], intent.detail["uid"]),
            )
            for intent in self.state.open_intents
            if intent.detail
        ]
        data = [item for item in (*recorded, *begun) if item[0].kind in DATA]
        kept = [item for item in data if item[1].get("retention", "keep") == "keep"]
        images = {spec.get("image") for _, spec, _ in kept}
        kept += [item for item in data if item[0].kind == "Image" and item[0].name in images]
        return {key for _, _, key in kept}

    def of_others(self) -> dict[tuple[str, str], StoredObject]:
        """Objects without our stamp."""
        return {key: item for key, item in self.objects.items() if not is_ours(item)}


def is_ours(item: StoredObject) -> bool:
    return item.owner is not None and item.owner.lineage == str(LINEAGE)


def check(case: Case) -> int:
    """Raises AssertionError where something does not hold; returns how many of the operations
    changed anything.
    """
    changed = 0
    with suppress(Unsuitable), estate() as world:
        begin(world, case)
        for operation in case.operations:
            world.connect(case.faults)
            before = world.objects()
            with sound(world, operation):
                carry_out(world, operation)
            changed += before != world.objects()
        world.connect()
        converge(world)
    return changed


def begin(world: Estate, case: Case) -> None:
    """What is recorded and what is there before the first operation."""
    with store_of(world) as store:
        store.read()
    if case.before:
        world.scenario.write("resources.yaml", case.before)
        for _ in range(RUNS):
            report = apply(world, plan(world, Operation("apply")))
            if not report.done:
                break
        assert () == report.problems
    for upheaval in case.upheavals:
        befall(world, upheaval)
    world.scenario.write("resources.yaml", case.declared)


@contextmanager
def store_of(world: Estate) -> Iterator[SqliteStore]:
    workspace = world.scenario.workspace()
    workspace.lineage = LINEAGE  # the same identities in every run of a case
    with workspace.store("test") as store:
        yield store


# What others, and runs that died, have left


def befall(world: Estate, upheaval: Upheaval) -> None:
    """Have something happen to a resource, if it is recorded."""
    what = upheaval.what
    entry = world.state().entries.get(Address.parse(upheaval.address))
    if entry is None:
        return
    item = world.objects().get((entry.endpoint, entry.external_id))
    if what in UNRECORDED:
        remove_entry(world, entry)
    if what == "refresh":
        leave_intent(world, entry, what, {})
    elif what == "left over":
        leave_predecessor(world, entry, item)
    elif what in INTENDED:
        leave_intent(world, entry, INTENDED[what], intent_detail(entry))
    if item is not None and what in OBJECTS:
        put(world, entry.endpoint, item, OBJECTS[what](item))


UNRECORDED = ("forgotten", "half made", "not begun")
INTENDED = {
    **{what: what for what in ("create", "update", "rename", "adopt", "delete", "forget")},
    "half made": "create",
    "not begun": "create",
    "deleted": "delete",
}
OBJECTS: Mapping[str, Callable[[StoredObject], StoredObject | None]] = {
    "vanished": lambda _: None,
    "deleted": lambda _: None,
    "not begun": lambda _: None,
    "unstamped": lambda item: replace(item, owner=None),
    "taken": lambda item: replace(item, owner=Stamp(OTHERS, f"{item.kind}/{item.name}")),
    "half made": lambda item: replace(item, spec=dict([*item.spec.items()][:1])),
}
"""What becomes of the object."""


def remove_entry(world: Estate, entry: Entry) -> None:
    with store_of(world) as store:
        operation = store.begin("forget", "fuzz", None)
        intent = store.intend(operation, str(entry.address), "forget", entry.address, {})
        store.settle(intent, remove=[entry.address])


def leave_intent(world: Estate, entry: Entry, action: str, detail: Mapping[str, object]) -> None:
    with store_of(world) as store:
        address = stamp_address(entry.address)
        if action == "rename":
            address = Address(address.kind, f"{address.name}-b")
        store.intend(store.begin("apply", "fuzz", None), str(address), action, address, detail)


def leave_predecessor(world: Estate, entry: Entry, item: StoredObject | None) -> None:
    """An object of an earlier generation, where two may have the same name."""
    if item is None or entry.address.kind != "Disk":
        return
    old = replace(entry, generation=9, uid=identity(LINEAGE, entry.address, 9))
    old = replace(old, external_id=str(old.uid))
    owner = Stamp(str(LINEAGE), str(entry.address), 9)
    put(world, entry.endpoint, item, item, replace(item, id=str(old.uid), owner=owner))
    leave_intent(world, old, "delete", intent_detail(old, entry.address))


def put(world: Estate, host: str, item: StoredObject, *instead: StoredObject | None) -> None:
    """Put other objects in the place of one, past every session."""
    endpoint = Endpoint(host, "memory", {"path": f"{host}.jsonl"})
    inventory = world.scenario.provider.inventory(endpoint, world.root)
    with inventory.changing():
        inventory.remove(item.id)
        for new in instead:
            if new is not None:
                inventory.put(new)


# Operations


def carry_out(world: Estate, operation: Operation) -> None:
    """Raises ProvisionerError where it is refused."""
    if operation.command == "drift":
        world.scenario.drift()
        return
    made = plan(world, operation)
    if operation.command != "plan":
        report = apply(world, made)
        assert [] == [problem for problem in report.problems if problem.code in DEFECTS]


def plan(world: Estate, operation: Operation) -> Plan:
    options: dict[str, object] = {
        "target": operation.target,
        "exclude": operation.exclude,
        "adopt": ("*/*",) if operation.adopt else (),
    }
    destroys = operation.command == "destroy"
    make = world.scenario.plan_destroy if destroys else world.scenario.plan
    if not operation.bold:
        return make(**options)
    options["max_impact"] = "replace"
    steps = make(**options).steps
    lost = {str(step.consent_address) for step in steps if step.impact is Impact.DATA_LOSS}
    return make(**options, consents=sorted(lost))


def apply(world: Estate, made: Plan) -> ApplyReport:
    """A step at a time, so that the same calls go wrong each time."""
    scenario = world.scenario
    return apply_plan(scenario.workspace(), made, scenario.events.append, scenario.stop, 1)


def evidence(world: Estate) -> Evidence:
    return Evidence(world.state(), world.objects())


@contextmanager
def sound(world: Estate, operation: Operation) -> Iterator[None]:
    """An operation, refused or not, after which the records hold together and whatever belongs to
    others is as it was.
    """
    before = evidence(world)
    problems: Sequence[Diagnostic] = ()
    try:
        yield
    except ProvisionerError as refused:
        problems = refused.diagnostics
    assert [] == [problem for problem in problems if problem.code in DEFECTS]
    with store_of(world) as store:
        assert [] == store.verify()
    after = evidence(world)
    if operation.command in ("plan", "drift"):
        assert before == after
    for key, item in before.of_others().items():
        if item.owner is None and operation.adopt:
            continue
        assert item == after.objects.get(key)
    owners = [(host, item.owner) for (host, _), item in after.objects.items() if is_ours(item)]
    assert sorted(set(owners)) == sorted(owners)
    assert after.unknown() <= before.unknown() | before.kept()


def converge(world: Estate) -> None:
    """Without faults, and when the objects of other stacks are out of the way, everything comes to
    be as declared.
    """
    for (host, _), item in evidence(world).of_others().items():
        if item.owner is not None:
            put(world, host, item, None)
    operation = Operation("apply", adopt=True)
    for _ in range(RUNS):
        with sound(world, operation):
            made = plan(world, operation)
            if not made.steps and not made.refresh:
                break
            report = apply(world, made)
            check_done(world, made, report)
    assert ([], ()) == (outline(made)[: len(made.steps)], made.refresh)
    check_settled(world, made)


def check_done(world: Estate, made: Plan, report: ApplyReport) -> None:
    """Every step was done. What is in use is not deleted; where no record tells of its users (one
    that was forgotten, and whose manifest no longer speaks of what it has), or its author wants it
    to go before its successor is there, nobody else can help.
    """
    first = [step.previous for step in made.steps if step.replace_order == DELETE_FIRST]
    helpless = {str(old.address) for old in first if old is not None}
    state, objects = evidence(world)
    for address, entry in state.entries.items():
        users = {key for key, item in objects.items() if entry.external_id in item.holds.values()}
        told = {
            (user.endpoint, user.external_id)
            for user in state.entries.values()
            if address in user.dependencies
        }
        if users - told:
            helpless.add(str(address))
    left = [problem for problem in report.problems if problem.code == IN_USE]
    if left and {problem.address for problem in left} <= helpless:
        raise Unsuitable
    assert () == report.problems


def check_settled(world: Estate, made: Plan) -> None:
    """Nothing is half done, and what is declared is there as it is declared."""
    state, found = evidence(world)
    held = {step.address for step in made.held}
    waiting = {
        known.uid
        for step in made.held
        for known in (step.known, step.previous)
        if known is not None
    }
    still_needed = {stamp_address(item.address) for item in made.kept}
    assert set() == {
        intent.address
        for intent in state.open_intents
        if intent.detail.get("uid") not in waiting and resource_of(intent) not in still_needed
    }
    for address, desired in world.desired().items():
        if address in held:
            continue
        entry = state.entries[address]
        told = world.told(found[entry.endpoint, entry.external_id])
        recorded = world.recorded(entry, state)
        assert [] == disagreement(address, Views(told, desired, recorded, told))
