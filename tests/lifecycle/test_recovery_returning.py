"""What keeps a migration or failover from being rolled back: that a machine may have run over
there, as the journal or the hosts say, whatever became of it since.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.service.recovery.standing import standing_drill
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.actions import Estate
from provisioner.workflows.recovery.actions.returning import check_nothing_started
from provisioner.workflows.recovery.model import Check, Fencing, Mode
from provisioner.workflows.recovery.standing import Standing, may_begin, standing
from provisioner.workflows.runs import Outcome, Run, What
from tests.lifecycle.twosites import TwoSites, trouble
from tests.unit.workflows.recovery.plans import A, B, planned

CREATE = {"call": "create", "address": "VirtualMachine/db"}


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    """No fencing succeeds while there is a file that says so."""
    fence = Check("command", {"argv": ["test", "!", "-e", f"{tmp_path}/refused"]}, seconds=10.0)
    found = TwoSites(tmp_path, [planned("db")], fencing=Fencing((fence,)))
    found.replicate()
    return found


def refused(sites: TwoSites, run: Run) -> str:
    """Why the run is not rolled back; empty if it may be."""
    with sites.sessions() as sessions:
        try:
            check_nothing_started(Estate(sites.plan, sessions), run)
        except ProvisionerError as problem:
            (found,) = problem.diagnostics
            assert "PRV7100" == found.code
            return found.detail
    return ""


def killed(sites: TwoSites, work: Callable[[], object], site: str, rule: dict[str, str]) -> None:
    """Work in a process that is killed when a call is made at a site."""
    process = os.fork()
    if not process:
        try:
            sites.fault(site, rule)
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status)


def crash(sites: TwoSites) -> None:
    """The machine has run over there, and does no more."""
    sites.write("db", "order 2, over there", B)
    sites.outside(B).change("VirtualMachine", "db", ("power",), "stopped")


def test_a_start_that_failed_after_the_machine_ran_counts(sites: TwoSites) -> None:
    looks: list[str] = []

    def crashing() -> None:
        """Before the second attempt, after the answer to the first one was lost."""
        looks.extend(sites.running(B))
        if looks:
            crash(sites)

    sites.before["start"] = crashing
    sites.fault(B, {**CREATE, "effect": "lost-answer"})
    sites.fault(B, {**CREATE, "effect": "terminal"})
    run = sites.run(Mode.MIGRATE)
    assert (["db"], What.FAILED) == (looks, run.tasks["start/db"].what)
    assert "has begun to start it at site-b, where it is stopped" in refused(sites, run)


def test_a_start_of_which_nothing_came_does_not(sites: TwoSites) -> None:
    sites.fault(B, {**CREATE, "effect": "terminal"})
    run = sites.run(Mode.MIGRATE)
    assert What.FAILED is run.tasks["start/db"].what
    assert "" == refused(sites, run)
    assert Outcome.SUCCEEDED is sites.roll_back(run).record.outcome
    assert (["db"], []) == (sites.running(A), sites.running(B))


def test_a_start_that_was_killed_counts_also_when_it_is_skipped_later(sites: TwoSites) -> None:
    killed(sites, lambda: sites.run(Mode.FAILOVER), B, {**CREATE, "effect": "kill-after"})
    assert ["db"] == sites.running(B)
    (sites.folder / "refused").touch()
    run = sites.resume(Mode.FAILOVER)
    assert {"fence/1": "PRV7085"} == trouble(run)
    assert (What.SKIPPED, None) == (run.tasks["start/db"].what, run.tasks["start/db"].begun)
    crash(sites)
    assert "has begun to start it" in refused(sites, run)


def test_a_failover_by_another_journal_counts(sites: TwoSites) -> None:
    sites.stop_at("stand-by/db")
    run = sites.run(Mode.MIGRATE)
    sites.begin_anew()
    sites.new_journal = lambda path: Journal(path.with_name("other.db"))
    assert Outcome.SUCCEEDED is sites.run(Mode.FAILOVER).record.outcome
    crash(sites)
    assert not run.tasks["start/db"].beginnings
    assert "at site-b it is stopped, not marked as standing by" in refused(sites, run)


def test_what_stands_by_over_there_since_an_earlier_migration_does_not(sites: TwoSites) -> None:
    sites.run(Mode.MIGRATE)
    sites.turn()
    sites.run(Mode.REPROTECT)
    sites.stop_at("stand-by/db")
    run = sites.run(Mode.MIGRATE)
    assert "" == refused(sites, run)


def test_nor_does_what_is_left_over_there_of_a_machine_that_runs_at_home(sites: TwoSites) -> None:
    sites.outside(A).power_off()
    sites.run(Mode.FAILOVER)
    sites.outside(A).come_back()
    sites.turn()
    run = sites.run(Mode.MIGRATE)  # was not reprotected before
    assert {"synchronise/db": "PRV7080"} == trouble(run)
    assert "" == refused(sites, run)


def test_a_machine_that_was_shut_down_by_a_killed_run_is_not_forgotten(sites: TwoSites) -> None:
    power = {"call": "power", "address": "VirtualMachine/db", "effect": "kill-after"}
    killed(sites, lambda: sites.run(Mode.MIGRATE), A, power)
    sites.stop.request()
    run = sites.resume(Mode.MIGRATE)
    assert (Outcome.CANCELLED, What.SKIPPED) == (run.record.outcome, run.tasks["stop/db"].what)
    assert Standing.TOUCHED is standing(run)
    assert {Mode.FAILOVER} == {mode for mode in Mode if may_begin(run, mode)}


def test_a_drill_that_was_killed_while_it_made_something_is_not_forgotten(sites: TwoSites) -> None:
    stage = {"call": "stage", "address": "VirtualMachine/db", "effect": "kill-after"}
    killed(sites, lambda: sites.run(Mode.TEST), B, stage)
    sites.stop.request()
    run = sites.resume(Mode.TEST)
    assert What.SKIPPED is run.tasks["stage/db"].what
    standing_one = standing_drill(sites.journal)
    assert standing_one is not None
    assert run.record.id == standing_one.id
