"""Drills on two memory sites: beside running machines, cut off, and cleared away without a rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.providers import api
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Way
from provisioner.workflows.events import RunEvent, TaskWaiting
from provisioner.workflows.recovery.actions import Estate
from provisioner.workflows.recovery.model import Check, Mode, Moment, OwnStep
from provisioner.workflows.recovery.modes import drill_runbook, runbook_of
from provisioner.workflows.recovery.report import report
from provisioner.workflows.runbook import OnFailure, Runbook
from provisioner.workflows.runs import Outcome, What
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.twosites import TwoSites, trouble
from tests.unit.workflows.recovery.plans import A, B, bubble_of, known, machine_address, planned

BAD = Check("command", {"argv": ["false"]}, seconds=0.6)


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    found = TwoSites(
        tmp_path, [planned("db", tier=1), planned("web", tier=2, needs=(machine_address("db"),))]
    )
    found.write("db", "order 1")
    found.replicate()
    return found


def test_a_drill_starts_copies_beside_the_running_machines(sites: TwoSites) -> None:
    sites.write("db", "order 2")
    run = sites.run(Mode.TEST)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ["db", "web"] == sites.running(A)
    assert ["drill-shop-db", "drill-shop-web"] == sites.running(B)


def test_what_a_drill_writes_reaches_neither_the_replica_nor_the_machine(sites: TwoSites) -> None:
    sites.run(Mode.TEST)
    sites.outside(B).write("drill-shop-db", "a test order")
    sites.run(Mode.CLEANUP)
    sites.replicate()
    assert ["order 1"] == sites.on_disk("db", A)


def test_the_site_of_the_machines_is_not_called_in_a_drill(sites: TwoSites) -> None:
    before = dict(sites.provider.calls("host-a"))
    sites.run(Mode.TEST)
    sites.run(Mode.CLEANUP)
    assert before == dict(sites.provider.calls("host-a"))


def test_cleanup_leaves_nothing(sites: TwoSites) -> None:
    before = sites.objects(B)
    sites.run(Mode.TEST)
    run = sites.run(Mode.CLEANUP)
    assert (Outcome.SUCCEEDED, 0) == (run.record.outcome, run.tasks["left"].result["left"])
    assert before == sites.objects(B)


def test_the_cards_of_a_drill_are_in_its_own_networks_only(sites: TwoSites) -> None:
    run = sites.run(Mode.TEST)
    assert ["drill-shop-lan-b"] == run.tasks["start/web"].result["networks"]
    network = sites.outside(B).find("Network", "drill-shop-lan-b")
    assert network is not None
    assert "isolated" == network.spec["mode"]


def test_the_machines_of_a_drill_know_the_objects_of_its_networks(
    sites: TwoSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, str | None] = {}
    create = MemorySession.create

    def listen(session: MemorySession, resource: Resource, deadline: Deadline) -> api.Outcome:
        if resource.kind == "VirtualMachine":
            told[resource.name] = resource.related[network].external_id
        return create(session, resource, deadline)

    network = Address("Network", "drill-shop-lan-b")
    monkeypatch.setattr(MemorySession, "create", listen)
    sites.run(Mode.TEST)
    found = sites.outside(B).find(network.kind, network.name)
    assert found is not None
    assert {"drill-shop-db": found.id, "drill-shop-web": found.id} == told


def test_nothing_is_powered_on_while_a_network_of_the_drill_leads_out(tmp_path: Path) -> None:
    network = known("Network", "lab", "host-b", {"mode": "nat"})
    open_bubble = {Address("Network", "lan-b"): network}
    sites = TwoSites(tmp_path, [planned("db")], bubble={B: open_bubble})
    sites.know(B, network)
    sites.outside(B).add("Network", "lab", {"mode": "nat"})
    sites.replicate()
    run = sites.run(Mode.TEST)
    assert {"isolation/lan-b": "PRV7081"} == trouble(run)
    assert [] == sites.running(B)


def open_network(sites: TwoSites) -> None:
    sites.outside(B).change("Network", "drill-shop-lan-b", ("mode",), "nat")


def test_a_network_that_a_run_left_half_made_is_made_whole(sites: TwoSites) -> None:
    sites.run(Mode.TEST)
    open_network(sites)
    run = sites.run(Mode.TEST)
    assert {} == trouble(run)
    network = sites.outside(B).find("Network", "drill-shop-lan-b")
    assert network is not None
    assert "isolated" == network.spec["mode"]


def test_a_drill_is_not_powered_on_when_somebody_has_opened_its_network(sites: TwoSites) -> None:
    sites.before["power-on"] = lambda: open_network(sites)
    run = sites.run(Mode.TEST)
    assert {"start/db": "PRV7081"} == trouble(run)
    assert [] == sites.running(B)


def test_cleanup_clears_away_a_drill_that_failed_half_way(sites: TwoSites) -> None:
    before = sites.objects(B)
    sites.outside(B).add("VirtualMachine", "drill-shop-web", {"power": "stopped"})
    assert {"define/web"} == trouble(sites.run(Mode.TEST)).keys()
    sites.outside(B).remove("VirtualMachine", "drill-shop-web")
    assert Outcome.SUCCEEDED is sites.run(Mode.CLEANUP).record.outcome
    assert before == sites.objects(B)


@pytest.mark.parametrize("mode", [Mode.FAILOVER, Mode.MIGRATE])
def test_a_drill_that_still_stands_makes_way(sites: TwoSites, mode: Mode) -> None:
    sites.run(Mode.TEST)
    run = sites.run(mode)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))
    assert [] == [name for name in sites.objects(B) if "drill-" in name]


def test_a_part_of_a_drill_that_cannot_be_removed_stops_no_failover(sites: TwoSites) -> None:
    sites.run(Mode.TEST)
    never = {"call": "delete", "address": "Network/*", "effect": "terminal", "times": 0}
    sites.fault(B, never)
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.IN_PART, {"remove-bubble/lan-b": "PRV5902"}) == (
        run.record.outcome,
        trouble(run),
    )
    assert ["db", "web"] == sites.running(B)


def test_disks_of_a_drill_that_cannot_be_removed_hold_their_machine_alone(sites: TwoSites) -> None:
    staged = sites.run(Mode.TEST).tasks["stage/web"].result["disks"]
    assert isinstance(staged, Mapping)
    holds = {f"disks/{number}": str(item) for number, item in enumerate(staged.values())}
    sites.outside(B).add("VirtualMachine", "stranger", {"power": "stopped"}, holds=holds)
    run = sites.run(Mode.FAILOVER)
    assert {"unstage/web": "PRV5396", "promote/web": "PRV5396"} == trouble(run)
    assert ["db"] == sites.running(B)


def test_a_plan_that_has_no_drill_fails_over_all_the_same(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned("db")], bubble={})
    sites.replicate()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))


def test_to_look_whether_a_drill_stands_takes_as_many_calls_as_there_are_endpoints(
    sites: TwoSites,
) -> None:
    whole = runbook_of(sites.plan, Mode.FAILOVER)
    clearing = ("begin", "drill-stands", "remove", "unstage", "remove-bubble")
    tasks = [replace(task, after=()) for task in whole.tasks if task.action in clearing]
    before = Counter(sites.provider.calls("host-b"))
    run = sites.carry_out(Runbook(whole.name, whole.mode, tasks))
    assert Outcome.SUCCEEDED is run.record.outcome
    calls = Counter(sites.provider.calls("host-b")) - before
    # The first observation is that of the connection.
    assert (2, 1) == (calls["observe"], calls["replicas"])
    assert 0 == calls["delete"] + calls["unstage"]


def test_cleanup_of_no_drill_finds_nothing(sites: TwoSites) -> None:
    run = sites.run(Mode.CLEANUP)
    assert (Outcome.SUCCEEDED, 0) == (run.record.outcome, run.tasks["left"].result["left"])


@pytest.mark.parametrize(
    ("policy", "others"),
    [
        (OnFailure.HOLD, {"web": What.HELD, "mail": What.DONE, "last": What.DONE}),
        (OnFailure.GO_ON, {"web": What.DONE, "mail": What.DONE, "last": What.DONE}),
        (OnFailure.STOP, {"web": What.SKIPPED, "mail": What.DONE, "last": What.SKIPPED}),
    ],
)
def test_what_follows_a_machine_that_never_comes_up(
    tmp_path: Path, policy: OnFailure, others: Mapping[str, What]
) -> None:
    gate = replace(BAD, on_failure=policy)
    sites = TwoSites(
        tmp_path,
        [
            planned("db", tier=1, gates=(gate,)),
            planned("mail", tier=1),
            planned("web", tier=2, needs=(machine_address("db"),)),
            planned("last", tier=3),
        ],
    )
    sites.replicate()
    run = sites.run(Mode.TEST)
    assert {"gate/db/1": "PRV7086"} == trouble(run)
    assert others == {name: run.tasks[f"start/{name}"].what for name in others}


def test_a_drill_takes_the_point_that_was_chosen(sites: TwoSites) -> None:
    with sites.sessions() as sessions:
        states = Estate(sites.plan, sessions).replica_states(sites.plan.machines)
    oldest = states[machine_address("db")].points[0].id
    sites.write("db", "order 2")
    sites.replicate()
    run = sites.carry_out(drill_runbook(sites.plan, {machine_address("db"): oldest}))
    assert oldest == run.tasks["stage/db"].result["point"]


def test_a_drill_tells_the_point_that_its_disks_stand_on_and_not_the_newest(
    sites: TwoSites,
) -> None:
    first = sites.run(Mode.TEST).tasks["stage/db"].result
    sites.replicate()
    again = sites.run(Mode.TEST).tasks["stage/db"].result
    assert (first["point"], first["taken"]) == (again["point"], again["taken"])
    assert first["taken"] is not None


def asking(name: str, moment: Moment, tier: int | None) -> OwnStep:
    question = Check("prompt", {"text": "Does it look well?"}, seconds=5.0)
    return OwnStep(name, moment, question, frozenset({Mode.TEST}), tier=tier)


def test_nobody_is_asked_about_a_drill_of_which_every_machine_is_held_back(tmp_path: Path) -> None:
    places = [(Moment.BEFORE, 1), (Moment.BEFORE, 2), (Moment.AFTER, 2), (Moment.AFTER, None)]
    steps = tuple(asking(f"ask-{number}", *place) for number, place in enumerate(places))
    sites = TwoSites(tmp_path, [planned("db", tier=1), planned("web", tier=2)], steps=steps)
    sites.replicate()
    sites.fault(B, {"call": "stage", "address": "*", "effect": "terminal", "times": 0})
    run = sites.run(Mode.TEST)
    assert {"stage/db", "stage/web"} == trouble(run).keys()
    assert {What.HELD} == {run.tasks[f"step/{step.name}"].what for step in steps}


def test_a_person_is_asked_as_long_as_a_machine_may_follow(tmp_path: Path) -> None:
    step = asking("ask", Moment.AFTER, 1)
    sites = TwoSites(tmp_path, [planned("db", tier=1), planned("web", tier=2)], steps=(step,))
    sites.replicate()
    sites.fault(B, {"call": "stage", "address": "VirtualMachine/db", "effect": "terminal"})
    asked: list[str] = []

    def answer(event: RunEvent) -> None:
        if isinstance(event, TaskWaiting):
            asked.append(event.task)
            last = sites.journal.last()
            assert last is not None
            sites.journal.answer(last.id, event.task, "yes", "ann")

    sites.listener = answer
    run = sites.run(Mode.TEST)
    assert ({"stage/db"}, ["step/ask"]) == ({*trouble(run)}, asked)
    assert ["drill-shop-web"] == sites.running(B)


@pytest.mark.parametrize("in_step", [True, False])
def test_a_drill_tells_whether_a_mirror_was_in_step(tmp_path: Path, in_step: bool) -> None:
    sites = TwoSites(tmp_path, [planned("db", way=Way.CONTINUOUS)])
    sites.replicate()
    if not in_step:
        sites.outside(A).power_off()
        sites.outside(A).come_back()
    (db,) = report(sites.run(Mode.TEST)).machines
    assert (in_step, None) == (db.in_step, db.loss)


def test_machines_that_make_room_go_on_after_the_drill(tmp_path: Path) -> None:
    spare = known("VirtualMachine", "spare", "host-b", {"power": "running"})
    sites = TwoSites(tmp_path, [planned("db")], suspend={B: (spare,)})
    sites.replicate()
    sites.run(Mode.TEST)
    assert ["drill-shop-db"] == sites.running(B)
    sites.run(Mode.CLEANUP)
    assert ["spare"] == sites.running(B)


def test_a_bubble_may_be_there_already_and_stays(tmp_path: Path) -> None:
    lab = known("Network", "lab", "host-b", {"mode": "isolated"})
    sites = TwoSites(
        tmp_path,
        [planned("db")],
        bubble={A: bubble_of(A, "host-a"), B: {Address("Network", "lan-b"): lab}},
    )
    sites.know(B, lab)
    sites.outside(B).add("Network", "lab", {"mode": "isolated"})
    sites.replicate()
    assert ["lab"] == sites.run(Mode.TEST).tasks["start/db"].result["networks"]
    sites.run(Mode.CLEANUP)
    assert "Network/lab" in sites.objects(B)
