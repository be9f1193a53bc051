"""The laws of the runbooks of recovery plans, for plans at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.recovery.drills import drill_address, drill_machine
from provisioner.workflows.recovery.model import Check, Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import (
    drill_runbook,
    failover_runbook,
    rollback_runbook,
    runbook_of,
)
from provisioner.workflows.recovery.modes.order import tiers
from provisioner.workflows.runbook import OnFailure, Runbook, Task
from tests.unit.workflows.recovery.plans import (
    A,
    B,
    awaited,
    before,
    machine_address,
    plan_of,
    planned,
    plans,
)

STARTS = ("start", "start-again", "power-on")


def starts(runbook: Runbook) -> list[Task]:
    return [task for task in runbook.tasks if task.action in STARTS]


def lets_others_go_on(runbook: Runbook, ids: set[str]) -> set[str]:
    return {item for item in ids if runbook.by_id[item].on_failure is OnFailure.GO_ON}


@given(plans())
def test_a_failover_starts_nothing_without_every_fence_and_a_look(plan: RecoveryPlan) -> None:
    runbook = runbook_of(plan, Mode.FAILOVER)
    proofs = {
        task.id for task in runbook.tasks if task.id.startswith("fence/") or task.action == "off"
    }
    assert len(proofs) == 2 + len(plan.machines)
    assert set() == lets_others_go_on(runbook, proofs)
    for start in starts(runbook):
        assert proofs == proofs & before(runbook, start.id)


@given(plans())
def test_nothing_is_fenced_before_each_machine_has_a_recovery_point(plan: RecoveryPlan) -> None:
    runbook = runbook_of(plan, Mode.FAILOVER)
    for task in runbook.tasks:
        if task.id.startswith("fence/") or task.action in ("off", "release"):
            assert "points" in before(runbook, task.id)
    assert set() == lets_others_go_on(runbook, {"points"})


@given(plans())
def test_others_make_room_for_each_start_and_not_before_the_plan_has_turned(
    plan: RecoveryPlan,
) -> None:
    for mode in (Mode.MIGRATE, Mode.FAILOVER):
        runbook = runbook_of(plan, mode)
        room = {task.id for task in runbook.tasks if task.id.startswith("suspend/")}
        assert len(plan.suspend.get(B, ())) == len(room)
        assert all("turn" in before(runbook, item) for item in room)
        for machine in plan.machines:
            assert room <= before(runbook, f"start/{machine.address.name}")
            assert set() == room & awaited(runbook, f"promote/{machine.address.name}")


@given(plans())
def test_whoever_goes_on_with_a_run_proves_anew_what_each_start_relies_on(
    plan: RecoveryPlan,
) -> None:
    proofs = {
        Mode.FAILOVER: {"fenced", "disconnected"},
        Mode.MIGRATE: {"stay-off"},
        Mode.TEST: {"isolation/lan-b"},
    }
    runbooks = [(runbook_of(plan, mode), proofs[mode]) for mode in proofs]
    for runbook, expected in [*runbooks, (rollback_runbook(plan), {"stay-off"})]:
        assert {item for item in expected if runbook.by_id[item].lasting} == set()
        for start in starts(runbook):
            assert expected <= set(start.needs)
    failover = runbook_of(plan, Mode.FAILOVER)
    passing = {task.id for task in failover.tasks if not task.lasting}
    fences = {task.id for task in failover.tasks if task.id.startswith("fence/")}
    looks = {f"off/{machine.address.name}" for machine in plan.machines}
    assert {"fenced", "disconnected"} | fences | looks == passing
    assert fences == set(failover.by_id["fenced"].needs)
    assert looks == set(failover.by_id["disconnected"].needs)


@given(plans())
def test_behind_the_turn_of_a_migration_nothing_is_copied_again(plan: RecoveryPlan) -> None:
    runbook = runbook_of(plan, Mode.MIGRATE)
    behind = {item.id for item in runbook.tasks if "turn" in before(runbook, item.id)}
    for task in runbook.tasks:
        if not task.lasting and task.id != "stay-off":
            assert set() == behind & {item.id for item in runbook.tasks if task.id in item.needs}


@given(plans())
def test_a_machine_that_is_left_out_is_in_no_task_but_of_a_former_drill(
    plan: RecoveryPlan,
) -> None:
    left = plan.machines[0]
    runbook = failover_runbook(plan, {left.address})
    modes = [runbook_of(plan, mode, {left.address}) for mode in (Mode.MIGRATE, Mode.REPROTECT)]
    for one in (runbook, *modes, rollback_runbook(plan, {left.address})):
        about = {
            task.action
            for task in one.tasks
            if str(left.address) in (task.subject, task.arguments.get("for"))
        }
        assert about <= {"remove", "unstage"}
        for task in one.tasks:
            if task.action in ("all-off", "stay-off", "points", "protected"):
                assert [str(left.address)] == task.arguments["without"]
    whole = runbook_of(plan, Mode.FAILOVER)
    assert runbook.by_id["begin"].arguments["plan"] == whole.by_id["begin"].arguments["plan"]
    needed = {f"start/{address.name}" for address in left.needs}
    for machine in plan.machines:
        if left.address in machine.needs:
            assert needed <= before(runbook, f"start/{machine.address.name}")


@given(plans())
def test_a_machine_that_is_left_out_changes_no_order_of_stopping(plan: RecoveryPlan) -> None:
    left = plan.machines[0].address
    whole, runbook = (runbook_of(plan, Mode.MIGRATE, out) for out in ((), {left}))
    for machine in plan.machines:
        if machine.address != left:
            stop = f"stop/{machine.address.name}"
            expected = {item for item in before(whole, stop) if item.startswith("stop/")}
            found = {item for item in before(runbook, stop) if item.startswith("stop/")}
            assert expected - {f"stop/{left.name}"} == found


@given(plans())
def test_a_migration_starts_nothing_before_all_are_stopped_copied_and_marked(
    plan: RecoveryPlan,
) -> None:
    runbook = runbook_of(plan, Mode.MIGRATE)
    proofs = {"all-off"} | {
        f"{what}/{machine.address.name}"
        for what in ("stop", "last-synchronise", "stand-by")
        for machine in plan.machines
    }
    assert set() == lets_others_go_on(runbook, proofs)
    for start in starts(runbook):
        assert proofs == proofs & before(runbook, start.id)
        assert f"promote/{start.id.partition('/')[2]}" in before(runbook, start.id)


@given(plans())
def test_machines_stop_in_the_opposite_order_of_their_needs(plan: RecoveryPlan) -> None:
    runbook = runbook_of(plan, Mode.MIGRATE)
    for machine in plan.machines:
        for needed in machine.needs:
            stopped_before = awaited(runbook, f"stop/{needed.name}")
            assert f"stop/{machine.address.name}" in stopped_before


@given(plans())
def test_a_drill_powers_nothing_on_before_its_networks_are_proven_isolated(
    plan: RecoveryPlan,
) -> None:
    runbook = drill_runbook(plan)
    assert len(plan.machines) == len(starts(runbook))
    for start in starts(runbook):
        assert {"isolation/lan-b", "bubble/lan-b"} <= before(runbook, start.id)


@given(plans())
def test_a_drill_never_names_the_site_where_the_machines_run(plan: RecoveryPlan) -> None:
    sites = {
        task.arguments["site"] for task in drill_runbook(plan).tasks if task.arguments.get("site")
    }
    assert {B} == sites


@given(plans())
def test_a_rollback_starts_nothing_before_all_are_proven_off_at_the_other_site(
    plan: RecoveryPlan,
) -> None:
    runbook = rollback_runbook(plan)
    for start in starts(runbook):
        assert A == start.arguments["site"]
        assert "all-off" in before(runbook, start.id)
    assert B == runbook.by_id["all-off"].arguments["site"]


@given(plans())
def test_machines_start_after_what_they_need_is_well_and_the_tier_before_has_ended(
    plan: RecoveryPlan,
) -> None:
    for mode in (Mode.TEST, Mode.MIGRATE, Mode.FAILOVER):
        runbook = runbook_of(plan, mode)
        ended: set[str] = set()
        for machines in tiers(plan).values():
            for machine in machines:
                start = f"start/{machine.address.name}"
                assert ended == ended & awaited(runbook, start)
                for needed in machine.needs:
                    well = {f"start/{needed.name}"} | {
                        task.id
                        for task in runbook.tasks
                        if task.id.startswith(f"gate/{needed.name}/")
                        and task.arguments.get("for") in (None, str(machine.address))
                    }
                    assert well == well & before(runbook, start)
            ended |= {f"start/{machine.address.name}" for machine in machines}


@given(plans())
def test_a_machine_that_stays_down_holds_only_those_that_need_it(plan: RecoveryPlan) -> None:
    assume(not plan.steps)  # they hold what comes after them, as they say
    runbook = drill_runbook(plan)
    for machine in plan.machines:
        for other in plan.machines:
            held = f"start/{machine.address.name}" in before(runbook, f"start/{other.address.name}")
            assert reaches(plan, other.address, machine.address) == held


@given(plans())
def test_what_a_machine_asks_of_another_stands_between_the_two_and_holds_nobody_else(
    plan: RecoveryPlan,
) -> None:
    assume(not plan.steps)  # they hold what comes after them, as they say
    runbook = runbook_of(plan, Mode.FAILOVER)
    awaited_by = {
        machine.address: before(runbook, f"start/{machine.address.name}")
        for machine in plan.machines
    }
    for machine in plan.machines:
        name = machine.address.name
        for needed, gates in machine.edges.items():
            tasks = [
                runbook.by_id[f"gate/{needed.name}/for/{name}/{number}"]
                for number, _ in enumerate(gates, 1)
            ]
            assert [gate.on_failure for gate in gates] == [task.on_failure for task in tasks]
            well = {f"start/{needed.name}"} | tasks_of_gates(runbook, needed)
            expected = {
                item.address
                for item in plan.machines
                if item is machine or reaches(plan, item.address, machine.address)
            }
            for task in tasks:
                assert str(needed) == task.subject
                assert well <= before(runbook, task.id)
                assert expected == {one for one, ids in awaited_by.items() if task.id in ids}


def tasks_of_gates(runbook: Runbook, machine: Address) -> set[str]:
    """What a machine has to pass for all that need it."""
    return {
        task.id
        for task in runbook.tasks
        if task.id.startswith(f"gate/{machine.name}/") and "for" not in task.arguments
    }


def reaches(plan: RecoveryPlan, name: Address, sought: Address) -> bool:
    """Whether one machine needs another, directly or through others."""
    needs = {machine.address: machine.needs for machine in plan.machines}
    return any(item == sought or reaches(plan, item, sought) for item in needs[name])


@given(plans())
def test_every_step_of_the_author_is_there_in_its_modes_once(plan: RecoveryPlan) -> None:
    existing = {machine.tier for machine in plan.machines}
    for mode in (Mode.TEST, Mode.MIGRATE, Mode.FAILOVER):
        expected = {
            f"step/{step.name}"
            for step in plan.steps
            if mode in step.modes and (step.tier is None or step.tier in existing)
        }
        found = {task.id for task in runbook_of(plan, mode).tasks if task.id.startswith("step/")}
        assert expected == found


@given(plans())
def test_cleanup_removes_what_a_drill_makes_and_counts_last(plan: RecoveryPlan) -> None:
    made = {"define": "remove", "stage": "unstage", "bubble": "remove-bubble"}
    expected = {
        f"{made[task.action]}/{task.id.partition('/')[2]}"
        for task in drill_runbook(plan).tasks
        if task.action in made
    }
    cleanup = runbook_of(plan, Mode.CLEANUP)
    assert expected == {task.id for task in cleanup.tasks if task.action in made.values()}
    assert expected == expected & awaited(cleanup, "left")


@given(plans())
def test_what_happens_in_earnest_waits_for_the_end_of_a_drill_and_not_for_its_success(
    plan: RecoveryPlan,
) -> None:
    removals = {
        task.id
        for task in runbook_of(plan, Mode.CLEANUP).tasks
        if task.action in ("remove", "unstage", "remove-bubble")
    }
    for mode in (Mode.MIGRATE, Mode.FAILOVER):
        runbook = runbook_of(plan, mode)
        assert removals <= runbook.by_id.keys()
        for machine in plan.machines:
            promote = f"promote/{machine.address.name}"
            assert f"unstage/{machine.address.name}" in awaited(runbook, promote)
            assert set() == removals & before(runbook, f"start/{machine.address.name}")
            assert "remove-bubble/lan-b" not in awaited(runbook, promote)
        stopping = {"drill-stands", *removals}
        assert OnFailure.STOP not in {runbook.by_id[item].on_failure for item in stopping}


@given(plans())
def test_the_machines_of_a_drill_are_removed_while_the_old_site_is_fenced(
    plan: RecoveryPlan,
) -> None:
    runbook = runbook_of(plan, Mode.FAILOVER)
    for machine in plan.machines:
        awaits = awaited(runbook, f"remove/{machine.address.name}")
        assert set() == {task for task in awaits if task.startswith("fence")}


@given(plans())
def test_a_run_does_not_work_on_a_replica_against_itself_or_others(plan: RecoveryPlan) -> None:
    migration, failover = (runbook_of(plan, mode) for mode in (Mode.MIGRATE, Mode.FAILOVER))
    for machine in plan.machines:
        name = machine.address.name
        assert f"unstage/{name}" in awaited(migration, f"synchronise/{name}")
        assert f"release/{name}" in awaited(failover, f"unstage/{name}")
        assert f"unstage/{name}" not in before(migration, f"synchronise/{name}")


@given(plans())
def test_the_drill_of_a_machine_that_is_left_out_waits_for_nobody(plan: RecoveryPlan) -> None:
    left_out = plan.machines[0].address
    runbook = failover_runbook(plan, [left_out])
    assert "turn" not in awaited(runbook, f"unstage/{left_out.name}")


@given(plans())
def test_reprotection_moves_nothing_before_the_former_machine_is_off_and_marked(
    plan: RecoveryPlan,
) -> None:
    runbook = runbook_of(plan, Mode.REPROTECT)
    for machine in plan.machines:
        name = machine.address.name
        assert {f"yield/{name}", f"stand-by/{name}"} <= before(runbook, f"seed/{name}")


@given(plans())
def test_a_runbook_is_the_same_whenever_it_is_made(plan: RecoveryPlan) -> None:
    for mode in Mode:
        runbook = runbook_of(plan, mode)
        assert runbook.digest == Runbook.of(runbook_of(plan, mode).as_json()).digest


def test_failing_back_is_migrating_the_turned_plan() -> None:
    runbook = runbook_of(plan_of([planned("web")]).turned(), Mode.MIGRATE)
    assert A == runbook.by_id["start/web"].arguments["site"]
    assert B == runbook.by_id["stop/web"].arguments["site"]


def test_a_failover_without_fencing_is_no_runbook() -> None:
    with pytest.raises(ProvisionerError, match="PRV7071"):
        runbook_of(plan_of([planned("web")], fencing=None), Mode.FAILOVER)


def test_a_needed_machine_comes_in_the_tier_of_the_one_that_needs_it() -> None:
    web = planned("web", tier=1, needs=(machine_address("db"),))
    db = planned("db", tier=3)
    assert {1: [db, web], 3: []} == tiers(plan_of([web, db]))


def test_of_a_machine_that_is_left_out_nothing_is_asked() -> None:
    db, web = machine_address("db"), planned("web", needs=(machine_address("db"),))
    web = replace(web, edges={db: (Check("agent"),)})
    plan = plan_of([planned("db"), web])
    ids = [set(failover_runbook(plan, out).by_id) for out in ((), {db})]
    gate = "gate/db/for/web/1"
    assert [True, False] == [gate in found for found in ids]
    assert "start/web" in ids[1]


def test_a_machine_whose_network_has_no_isolated_one_has_no_drill() -> None:
    with pytest.raises(ProvisionerError, match="PRV7070"):
        drill_runbook(plan_of([planned("web")], bubble={}))


def test_the_machine_of_a_drill_has_nothing_of_the_real_one_but_its_disks() -> None:
    plan = plan_of([planned("web", test={B: {"nics": {"lan": {"address": "10.0.0.9"}}}})])
    drill = drill_machine(plan, plan.machines[0])
    real = plan.objects[B][machine_address("web")]
    assert "drill-shop-web" == drill.name
    assert real.uid != drill.uid
    assert {
        **real.spec,
        "power": "stopped",
        "autostart": False,
        "nics": {"lan": {"network": "drill-shop-lan-b", "address": "10.0.0.9"}},
    } == drill.spec


def test_the_name_of_a_drill_is_short_enough_and_its_own() -> None:
    plan = plan_of([planned("web")])
    names = {drill_address(plan, machine_address(f"{'x' * 60}{end}")).name for end in "ab"}
    assert [63, 63] == [len(name) for name in names]
