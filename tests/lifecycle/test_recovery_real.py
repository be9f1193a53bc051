"""Migrations, failovers, reprotection and failback on two memory sites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.cli.render.runs import achieved
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.capabilities import Standby, Way
from provisioner.workflows.recovery.actions import Estate
from provisioner.workflows.recovery.model import Check, Fencing, Mode, Moment, OwnStep
from provisioner.workflows.recovery.report import report
from provisioner.workflows.runbook import OnFailure
from provisioner.workflows.runs import Outcome, What
from tests.lifecycle.twosites import TwoSites, trouble
from tests.unit.workflows.recovery.plans import A, B, known, machine_address, planned

REFUSES = Check("command", {"argv": ["false"]}, seconds=5.0, on_failure=OnFailure.GO_ON)
BLOCK = 65536
BOTH = [planned("db", tier=1), planned("web", tier=2, needs=(machine_address("db"),))]


def start(sites: TwoSites, site: str, machine: str) -> None:
    """Somebody starts a machine, past every mark."""
    sites.outside(site).change("VirtualMachine", machine, ("power",), "running")


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    found = TwoSites(tmp_path, BOTH)
    found.write("db", "order 1")
    found.replicate()
    return found


def test_a_migration_loses_nothing(sites: TwoSites) -> None:
    sites.write("db", "order 2")
    run = sites.run(Mode.MIGRATE)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))
    assert ["order 2"] == sites.on_disk("db", B)


def test_what_was_left_behind_does_not_start(sites: TwoSites) -> None:
    sites.run(Mode.MIGRATE)
    left = sites.outside(A).find("VirtualMachine", "db")
    assert left is not None
    assert left.standby is not None
    assert "recovery plan shop: it runs at site-b" in str(left.standby)


def test_the_spec_of_the_other_site_counts_there(tmp_path: Path) -> None:
    real = {B: {"nics": {"lan": {"address": "10.9.0.4"}}}}
    sites = TwoSites(tmp_path, [planned("db", real=real)])
    sites.run(Mode.MIGRATE)
    found = sites.outside(B).find("VirtualMachine", "db")
    assert found is not None
    assert {"lan": {"network": "lan-b", "address": "10.9.0.4"}} == found.spec["nics"]


def test_a_machine_that_somebody_starts_again_stops_a_migration(sites: TwoSites) -> None:
    sites.before["all-off"] = lambda: start(sites, A, "web")
    run = sites.run(Mode.MIGRATE)
    assert Outcome.STOPPED is run.record.outcome
    assert {"all-off": "PRV7075"} == trouble(run)
    assert [] == sites.running(B)


def test_the_last_look_before_a_start_sees_a_machine_at_the_other_site(sites: TwoSites) -> None:
    sites.before["start"] = lambda: start(sites, A, "web")
    run = sites.run(Mode.MIGRATE)
    assert {"start/web": "PRV7075"} == trouble(run)
    assert ["db"] == sites.running(B)


def test_a_failover_after_a_disaster_tells_what_is_lost(sites: TwoSites) -> None:
    sites.write("db", "order 2, never copied")
    sites.outside(A).power_off()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ["db", "web"] == sites.running(B)
    assert ["order 1"] == sites.on_disk("db", B)
    result = run.tasks["choose/db"].result
    assert isinstance(result["loss"], float)
    assert 0 < result["loss"] < 60
    assert not run.tasks["off/db"].result["reachable"]


def test_a_dead_site_costs_one_wait_and_not_one_for_each_machine(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned(f"web-{number}") for number in range(6)])
    sites.replicate()
    sites.outside(A).power_off()
    run = sites.run(Mode.FAILOVER)
    assert Outcome.SUCCEEDED is run.record.outcome
    told = [run.tasks[f"off/web-{number}"].result["why"] for number in range(6)]
    assert 5 == told.count("host-a did not answer")


def test_continuous_replication_loses_nothing_that_was_written_before(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned("db", way=Way.CONTINUOUS)])
    sites.replicate()
    sites.write("db", "order 2")
    sites.outside(A).power_off()
    run = sites.run(Mode.FAILOVER)
    assert ["order 2"] == sites.on_disk("db", B)
    assert (True, None) == (
        run.tasks["choose/db"].result["continuous"],
        run.tasks["choose/db"].result["loss"],
    )


@pytest.mark.parametrize("in_step", [True, False])
def test_a_mirror_lost_nothing_only_if_it_was_in_step_before_the_fencing(
    tmp_path: Path, in_step: bool
) -> None:
    """The fencing itself ends it; one that was broken before has missed nobody knows what."""
    sites = TwoSites(tmp_path, [planned("db", way=Way.CONTINUOUS)])
    sites.replicate()
    if not in_step:
        break_mirrors(sites)
    sites.before["fenced"] = lambda: break_mirrors(sites)
    run = sites.run(Mode.FAILOVER)
    (db,) = report(run).machines
    assert (in_step, None, None) == (db.in_step, db.loss, db.is_within)
    (said,) = (line for line in achieved(run) if line.startswith("VirtualMachine/db: "))
    assert in_step == ("not known" not in said)


def test_a_mirror_that_broke_after_fencing_was_refused_is_not_said_to_have_all(
    tmp_path: Path,
) -> None:
    sites = TwoSites(tmp_path, [planned("db", way=Way.CONTINUOUS)])
    sites.replicate()
    sites.stop_at("fence/1")
    sites.run(Mode.FAILOVER)
    break_mirrors(sites)
    sites.begin_anew()
    (db,) = report(sites.resume(Mode.FAILOVER)).machines
    assert not db.in_step


def break_mirrors(sites: TwoSites) -> None:
    """What runs at A goes on, and its writes reach B no more."""
    sites.outside(A).cut_off()
    sites.outside(A).come_back()


def test_nothing_starts_when_fencing_is_refused_whatever_its_policy_says(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, BOTH, fencing=Fencing((REFUSES,)))
    sites.replicate()
    before = sites.objects(B)
    sites.outside(A).cut_off()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.STOPPED, {"fence/1": "PRV7085"}) == (run.record.outcome, trouble(run))
    assert (before, []) == (sites.objects(B), sites.running(B))


def test_a_failover_stops_and_marks_what_can_still_be_reached(sites: TwoSites) -> None:
    run = sites.run(Mode.FAILOVER)
    assert Outcome.SUCCEEDED is run.record.outcome
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))
    left = sites.outside(A).find("VirtualMachine", "db")
    assert left is not None
    assert left.standby is not None


def test_a_machine_whose_recovery_points_go_meanwhile_holds_only_what_needs_it(
    tmp_path: Path,
) -> None:
    sites = TwoSites(
        tmp_path,
        [
            planned("db", tier=1),
            planned("mail", tier=2),
            planned("web", tier=3, needs=(machine_address("db"),)),
        ],
    )
    sites.replicate()
    sites.before["turn"] = lambda: sites.discard("db")
    run = sites.run(Mode.FAILOVER)
    assert {"choose/db": "PRV7079"} == trouble(run)
    assert (["mail"], What.HELD) == (sites.running(B), run.tasks["start/web"].what)


def test_reprotection_after_a_disaster_turns_the_direction(sites: TwoSites) -> None:
    sites.outside(A).power_off()
    sites.run(Mode.FAILOVER)
    sites.write("db", "order 3", B)
    sites.outside(A).come_back()
    sites.turn()
    run = sites.run(Mode.REPROTECT)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))


def test_a_site_that_is_lost_before_the_reprotection_ends_leaves_what_ran_at_the_former_one(
    sites: TwoSites,
) -> None:
    sites.outside(A).power_off()
    sites.run(Mode.FAILOVER)
    sites.write("db", "order 3", B)
    sites.outside(A).come_back()
    sites.turn()
    sites.fault(B, {"call": "read", "effect": "terminal", "times": 0})
    assert {"seed/db", "seed/web"} == trouble(sites.run(Mode.REPROTECT)).keys()
    assert "Disk/db-disk" not in sites.objects(A)
    sites.outside(B).power_off()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert (["db", "web"], ["order 1"]) == (sites.running(A), sites.on_disk("db", A))
    assert "nothing newer" in str(run.tasks["choose/db"].result["problem"])


def test_machines_that_the_old_site_started_again_are_stopped_there(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, BOTH)
    sites.replicate()
    sites.outside(A).cut_off()
    sites.run(Mode.FAILOVER)
    sites.outside(A).come_back()
    assert ["db", "web"] == sites.running(A)  # fencing had cut it off, and did not end it
    sites.turn()
    assert Outcome.SUCCEEDED is sites.run(Mode.REPROTECT).record.outcome
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))


def test_reprotection_never_stops_the_only_machine_that_runs(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned("db")])
    sites.replicate()
    sites.outside(A).cut_off()
    sites.run(Mode.FAILOVER)
    sites.outside(A).come_back()
    sites.outside(B).change("VirtualMachine", "db", ("power",), "stopped")
    sites.turn()
    assert {"yield/db": "PRV7076"} == trouble(sites.run(Mode.REPROTECT))
    assert ["db"] == sites.running(A)


def test_reprotection_moves_only_what_differs(sites: TwoSites) -> None:
    for block in range(5):
        sites.outside(A).write("db", f"old {block}", block=block + 10)
    sites.run(Mode.MIGRATE)
    sites.write("db", "order 2", B)
    sites.turn()
    run = sites.run(Mode.REPROTECT)
    assert 0 == run.tasks["seed/web"].result["moved"]
    assert BLOCK == run.tasks["seed/db"].result["moved"]


def test_failing_back_brings_everything_home(sites: TwoSites) -> None:
    sites.run(Mode.MIGRATE)
    sites.write("db", "order 2", B)
    sites.turn()
    sites.run(Mode.REPROTECT)
    sites.write("db", "order 3", B)
    run = sites.run(Mode.MIGRATE)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert (["db", "web"], []) == (sites.running(A), sites.running(B))
    assert ["order 3"] == sites.on_disk("db", A)


def test_replication_in_the_old_direction_is_refused_after_a_migration(sites: TwoSites) -> None:
    sites.run(Mode.MIGRATE)
    with pytest.raises(Exception, match="it is running on host-b"):
        sites.replicate()


def test_a_cancelled_migration_is_rolled_back(tmp_path: Path) -> None:
    spare = known("VirtualMachine", "spare", "host-b", {"power": "running"})
    sites = TwoSites(tmp_path, BOTH, suspend={B: (spare,)})
    sites.replicate()
    sites.stop_at("suspend/spare")
    run = sites.run(Mode.MIGRATE)
    assert Outcome.CANCELLED is run.record.outcome
    assert ([], []) == (sites.running(A), sites.running(B))
    sites.begin_anew()
    back = sites.roll_back(run)
    assert (Outcome.SUCCEEDED, {}) == (back.record.outcome, trouble(back))
    assert (["db", "web"], ["spare"]) == (sites.running(A), sites.running(B))
    assert run.record.id == back.record.undoes


def test_a_migration_of_which_something_runs_already_is_not_rolled_back(sites: TwoSites) -> None:
    run = sites.run(Mode.MIGRATE)
    back = sites.roll_back(run)
    assert {"all-off": "PRV7075"} == trouble(back)
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))


def test_a_migration_that_was_rolled_back_succeeds_once_its_machines_are_protected_again(
    sites: TwoSites,
) -> None:
    sites.stop_at("promote/db")
    run = sites.run(Mode.MIGRATE)
    sites.begin_anew()
    sites.roll_back(run)
    sites.write("db", "order 2")
    assert {"PRV7080"} == set(trouble(sites.run(Mode.MIGRATE)).values())
    assert Outcome.SUCCEEDED is sites.run(Mode.REPROTECT).record.outcome
    again = sites.run(Mode.MIGRATE)
    assert (Outcome.SUCCEEDED, {}) == (again.record.outcome, trouble(again))
    assert ["order 2"] == sites.on_disk("db", B)


def test_a_replication_that_goes_on_during_a_failover_makes_its_points_newer_at_most(
    tmp_path: Path,
) -> None:
    sites = TwoSites(tmp_path, [planned("db", keep=1)])
    sites.write("db", "order 1")
    sites.replicate()
    sites.before["promote"] = sites.replicate
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    chosen, made = (run.tasks[f"{task}/db"].result["point"] for task in ("choose", "promote"))
    assert str(chosen) < str(made)
    assert ["order 1"] == sites.on_disk("db", B)


def test_a_replication_that_knows_of_no_failover_overwrites_nothing(sites: TwoSites) -> None:
    sites.run(Mode.FAILOVER)
    sites.write("db", "order 2", B)
    # As after a power cut at the one site, where the other one had none of its machines marked.
    sites.outside(B).change("VirtualMachine", "db", ("power",), "stopped")
    with sites.sessions() as sessions:
        estate = Estate(sites.plan, sessions)
        placed = estate.placed(machine_address("db"), A)
        session = estate.session(placed.record)
        assert isinstance(session, Standby)
        session.take_over(placed.resource, sites.deadline())
    before = sites.objects(B)
    with pytest.raises(ProvisionerError) as refused:
        sites.replicate()
    assert ("PRV7080", True) == (
        refused.value.diagnostics[0].code,
        "'provisioner dr reprotect'" in refused.value.diagnostics[0].hint,
    )
    assert (["order 2"], before) == (sites.on_disk("db", B), sites.objects(B))


def test_the_author_s_steps_get_the_names_of_what_they_are_about(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$PROVISIONER_PLAN $PROVISIONER_MODE $PROVISIONER_MACHINE" >> {told}'
    check = Check("command", {"argv": ["sh", "-c", script]}, seconds=10.0)
    whole = OwnStep("first", Moment.BEFORE, check, frozenset({Mode.MIGRATE}))
    of_db = replace(whole, name="second", moment=Moment.AFTER, machine=machine_address("db"))
    sites = TwoSites(tmp_path, [planned("db")], steps=(whole, of_db))
    sites.run(Mode.MIGRATE)
    assert ["shop migrate ", "shop migrate db"] == told.read_text().splitlines()


def test_nothing_begins_without_the_consents(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, BOTH, approvals={"owner": 1})

    def answer(event: object) -> None:
        if type(event).__name__ == "TaskWaiting":
            last = sites.journal.last()
            assert last is not None
            sites.journal.answer(last.id, "approve/owner/1", "no", "bob")

    sites.listener = answer
    run = sites.run(Mode.MIGRATE)
    assert {"approve/owner/1": "PRV7084"} == trouble(run)
    assert ["db", "web"] == sites.running(A)
