"""What runs, or may run, at its other site is held, with the disks that only it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import SystemClock
from provisioner.core.diagnostics import error
from provisioner.core.identity import Stamp
from provisioner.engine.elsewhere import look_elsewhere
from provisioner.engine.plan import Counterpart, Known
from provisioner.engine.planner import make_plan
from provisioner.engine.protected import counterparts, with_disks
from provisioner.engine.request import PlanRequest
from provisioner.engine.sessions import Sessions
from provisioner.manifest.model import Declaration
from provisioner.providers.api import (
    Absent,
    Context,
    Description,
    Endpoint,
    Observation,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import STANDBY
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord
from tests.unit.engine.made import (
    KINDS,
    LINEAGE,
    NAMING,
    MadeProvider,
    MadeRules,
    Situation,
    declared,
    ours,
    outline,
    recorded,
)
from tests.unit.engine.world import NoSecrets

WEB, DISK, SHARED = map(Address.parse, ("VirtualMachine/web", "Disk/root", "Disk/shared"))
UID = "0f1e2d3c-0000-5000-8000-000000000001"
WEST = {
    "west-1": EndpointRecord("west-1", "made", {}),
    "west-2": EndpointRecord("west-2", "made", {}),
}
SILENT = error("PRV5101", "no route to host")
RUNS = "it runs at Site/west (Host/west-1), and would run twice"
LEFT = "it is at Site/west (Host/west-1), stopped, without the mark of what stands by there"
UNKNOWN = "Host/west-1 of Site/west cannot be asked whether it runs there (no route to host)"


# What a host says


class West(MadeProvider):
    """Hosts with one object under the machine's name, or none, or that do not answer; and with one
    under its disk's.
    """

    def __init__(
        self, found: Observation | Terminal, marked: bool, disk: Observation | None = None
    ) -> None:
        super().__init__()
        self.found, self.marked = found, marked
        self.disk = disk or Absent()
        self.calls: list[str] = []

    def describe(self) -> Description:
        naming = {**NAMING, "VirtualMachine": NAMING["Vm"]}
        return replace(super().describe(), naming=naming, capabilities=frozenset({STANDBY}))

    def open(self, endpoint: Endpoint, context: Context) -> Any:  # noqa: ARG002 - of the contract
        return WestSession(self, endpoint.name)


class WestSession:
    """A session to one of them: what there is is on the first."""

    def __init__(self, west: West, host: str) -> None:
        self._west, self._host = west, host

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        self._west.calls.append(f"observe {self._host}")
        if self._host != "west-1":
            return {target.address: Absent() for target in targets}
        if isinstance(self._west.found, Terminal):
            raise self._west.found
        return {
            target.address: self._west.disk if target.address.kind == "Disk" else self._west.found
            for target in targets
        }

    def stand_by(self, *_: object) -> None:
        raise AssertionError

    def take_over(self, *_: object) -> None:
        raise AssertionError

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        return {machine.address: "it runs in the east" for machine in machines if self._west.marked}

    def close(self) -> None:
        pass


def there(power: str, stamp: str = str(WEB), lineage: str = str(LINEAGE)) -> Present:
    return Present("id", Stamp(lineage, stamp, 0), {"power": power}, "print")


def why(west: West, *items: Counterpart, trusted: tuple[str, ...] = ()) -> Mapping[Address, str]:
    with Sessions(
        Registry({"made": west}),
        root=Path("/made"),
        clock=SystemClock(),
        secrets=NoSecrets(),
        sink=lambda _: None,
    ) as sessions:
        plan = replace(make_plan(Situation().request()), trusted_sites=trusted)
        return look_elsewhere(plan, items, WEST, sessions)


def machine(**rest: Any) -> Counterpart:
    known = Known(WEB, "east-1", "web", UID, 0, {})
    return Counterpart(WEB, known, "west", ("west-1", "west-2"), **rest)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (there("running"), RUNS),
        (there("stopped"), LEFT),
        (there("suspended"), LEFT.replace("stopped", "suspended")),
        (Absent(), ""),
        (there("running", stamp="VirtualMachine/other"), ""),
        (there("running", lineage="another"), ""),
        (Present("id", None, {"power": "running"}, "print"), ""),
        (replace(there("running", stamp="VirtualMachine/old"), external_id=UID), RUNS),
        (replace(there("stopped"), running={("power",): "running"}), RUNS),
        (Undetermined(SILENT), UNKNOWN),
        (Terminal(SILENT), UNKNOWN),
    ],
)
def test_what_is_there(found: Observation | Terminal, expected: str) -> None:
    said = why(West(found, marked=False), machine()).get(WEB, "")
    assert (expected, bool(expected)) == (said[: len(expected)], bool(said))


def test_what_stands_by_there_is_not_away() -> None:
    assert {} == why(West(there("stopped"), marked=True), machine())


def test_a_mark_stops_nothing_that_runs() -> None:
    assert {WEB: RUNS} == why(West(there("running"), marked=True), machine())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (there("running"), {WEB: RUNS}),
        (there("stopped"), {}),
        (Undetermined(SILENT), {}),
        (Terminal(SILENT), {}),
    ],
)
def test_what_runs_here_and_is_restarted(
    found: Observation | Terminal, expected: Mapping[Address, str]
) -> None:
    assert expected == why(West(found, marked=False), machine(runs_here=True))


COPY = Known(DISK, "here", "root", UID, 0, {"pool": "far"})
PROMOTED = Present("id", Stamp(str(LINEAGE), str(DISK), 0), {}, "print")
FOUND = "its Disk/root is at Site/west (Host/west-1), promoted for it"


@pytest.mark.parametrize(
    ("found", "marked", "disk", "expected"),
    [
        (Absent(), False, PROMOTED, FOUND),
        (there("running"), False, PROMOTED, RUNS),
        (there("stopped"), True, PROMOTED, ""),
        (Absent(), False, Absent(), ""),
        (Absent(), False, replace(PROMOTED, owner=None), ""),
        (Absent(), False, Undetermined(SILENT), UNKNOWN),
        (there("running"), False, Undetermined(SILENT), RUNS),
        (there("stopped"), False, Undetermined(SILENT), LEFT),
    ],
)
def test_a_disk_that_was_promoted_there(
    found: Observation, marked: bool, disk: Observation, expected: str
) -> None:
    said = why(West(found, marked, disk), machine(copies=(COPY,))).get(WEB, "")
    assert (expected, bool(expected)) == (said[: len(expected)], bool(said))


def test_what_cannot_be_told_of_a_disk_hides_nothing_about_its_machine() -> None:
    west = West(there("running"), marked=False, disk=Undetermined(SILENT))
    assert {WEB: RUNS} == why(west, machine(copies=(COPY,)), trusted=("west",))


def test_what_runs_here_has_left_an_older_copy_there() -> None:
    west = West(Absent(), marked=False, disk=PROMOTED)
    assert {} == why(west, machine(copies=(COPY,), runs_here=True))


def test_what_is_new_needs_no_proof_from_a_site_that_is_silent() -> None:
    assert {} == why(West(Terminal(SILENT), marked=False), machine(is_new=True))
    assert {WEB: RUNS} == why(West(there("running"), marked=False), machine(is_new=True))


def test_somebody_says_that_the_site_is_off() -> None:
    silent = West(Terminal(SILENT), marked=False)
    assert {} == why(silent, machine(), trusted=("west",))
    assert {WEB} == why(silent, machine(), trusted=("north",)).keys()
    assert {WEB: RUNS} == why(West(there("running"), marked=False), machine(), trusted=("west",))


def test_each_host_is_asked_once_for_all_machines() -> None:
    west = West(Absent(), marked=False)
    other = Address.parse("VirtualMachine/db")
    why(
        west,
        machine(),
        replace(machine(), address=other, known=replace(machine().known, address=other)),
    )
    assert ["observe west-1", "observe west-2"] == sorted(west.calls)


# What is begun, and what is held

SPEC = {"power": "running", "disks": {"root": {}, "shared": {}}}
NEEDS = ("Disk/root", "Disk/shared")
POLICIES = (
    declared("Site/east", {"hosts": {"here": {}}}),
    declared("Site/west", {"hosts": {"there": {}}}),
    declared(
        "SitePair/both",
        {"first": "east", "second": "west", "pools": {"near": {"second": "far"}}},
    ),
    declared("ProtectionGroup/shop", {"sitePair": "both", "machines": {"web": {}}}),
)
DISKS = (declared("Disk/root"), declared("Disk/shared"))


def request(
    observed: Mapping[str, Observation],
    *declarations: Declaration,
    entries: bool = True,
    power: str = "running",
) -> PlanRequest:
    """A machine that is protected, with two disks."""
    spec = {**SPEC, "power": power}
    everything = (*DISKS, declared("VirtualMachine/web", spec, *NEEDS), *declarations)
    situation = Situation(
        everything,
        (
            recorded("Disk/root"),
            recorded("Disk/shared"),
            recorded("VirtualMachine/web", spec, *NEEDS),
        )
        if entries
        else (),
        observed,
        provider=West(Absent(), marked=False),
        rules=MadeRules({**KINDS, "VirtualMachine": KINDS["Vm"]}),
    )
    found = situation.request()
    assert found.stack is not None
    policies = {item.address: item for item in POLICIES}
    return replace(found, stack=replace(found.stack, policies=policies))


def begun(found: PlanRequest) -> list[tuple[str, tuple[str, ...], bool, bool]]:
    return [
        (str(item.address), item.hosts, item.is_new, item.runs_here)
        for item in counterparts(found, make_plan(found))
    ]


THERE = {"Disk/root": ours("Disk/root"), "Disk/shared": ours("Disk/shared")}
STOPPED = {"VirtualMachine/web": ours("VirtualMachine/web", {**SPEC, "power": "stopped"})}
RUNNING = {"VirtualMachine/web": ours("VirtualMachine/web", SPEC)}


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({**THERE, **RUNNING}, []),
        ({**THERE, **STOPPED}, [("VirtualMachine/web", ("there",), False, False)]),
        (THERE, [("VirtualMachine/web", ("there",), False, False)]),
        (RUNNING, []),
    ],
    ids=["nothing", "power", "creation", "disks of what runs"],
)
def test_who_is_asked_about(observed: Mapping[str, Observation], expected: list[Any]) -> None:
    assert expected == begun(request(observed))


def test_disks_of_what_is_off_are_not_made_unasked() -> None:
    assert [] == begun(request({**THERE, **STOPPED}, power="stopped"))
    assert [("VirtualMachine/web", ("there",), False, False)] == begun(
        request(STOPPED, power="stopped")
    )


@pytest.mark.parametrize(("kind", "expected"), [("incremental", ["far"]), ("external", [])])
def test_promoted_disks_are_looked_for_in_the_pool_there(kind: str, expected: list[str]) -> None:
    """What another tool copies is there all the time, and tells nothing."""
    found = request(STOPPED, declared("Disk/root", {"pool": "near"}))
    assert found.stack is not None
    spec = {"sitePair": "both", "machines": {"web": {}}, "replication": {"type": kind}}
    group = declared("ProtectionGroup/shop", spec)
    policies = {**found.stack.policies, group.address: group}
    found = replace(found, stack=replace(found.stack, policies=policies))
    (asked,) = counterparts(found, make_plan(found))
    assert expected == [copy.spec["pool"] for copy in asked.copies]


def test_what_was_never_anywhere_is_new() -> None:
    assert [("VirtualMachine/web", ("there",), True, False)] == begun(request({}, entries=False))


def test_it_is_held_with_its_disks() -> None:
    found = request({})
    away = with_disks(found, {WEB: "it is away"})
    assert {WEB: "it is away", DISK: f"{WEB} has it: it is away"} == {
        address: away[address] for address in (WEB, DISK)
    }
    plan = make_plan(replace(found, away=away))
    assert ["(create Disk/root)", "(create Disk/shared)", "(create VirtualMachine/web)"] == sorted(
        outline(plan)
    )


def test_a_disk_that_another_machine_has_too_is_made() -> None:
    batch = declared("VirtualMachine/batch", {"disks": {"shared": {}}}, "Disk/shared")
    found = request({}, batch)
    assert {WEB, DISK} == with_disks(found, {WEB: "it is away"}).keys()


def test_a_plan_remembers_whom_to_ask_again_and_how() -> None:
    found = request({**THERE, **STOPPED})
    asked = counterparts(found, make_plan(found))
    plan = make_plan(replace(found, counterparts=asked))
    assert (asked, ["here", "there"]) == (plan.counterparts, sorted(plan.endpoints))
    held = make_plan(replace(found, counterparts=asked, away={WEB: "it is away"}))
    assert ((), ["here"]) == (held.counterparts, sorted(held.endpoints))
