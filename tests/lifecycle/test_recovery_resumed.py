"""Runs that are gone on with after the world has changed: nothing of what was proven before is
believed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from provisioner.workflows.events import RunEvent, TaskDone, TaskStarted
from provisioner.workflows.recovery.actions import Estate, silence
from provisioner.workflows.recovery.model import Check, Fencing, Mode, Moment, OwnStep
from provisioner.workflows.recovery.modes import failover_runbook
from provisioner.workflows.recovery.report import Ended, report
from provisioner.workflows.recovery.standing import Standing, may_begin, standing
from provisioner.workflows.recovery.unheard import left_out, unheard, warnings_of
from provisioner.workflows.runs import Outcome, What
from tests.lifecycle.twosites import TwoSites, named, trouble
from tests.unit.workflows.recovery.plans import A, B, machine_address, planned

BOTH = [planned("db", tier=1), planned("web", tier=2, needs=(machine_address("db"),))]


def command(script: str) -> Check:
    return Check("command", {"argv": ["sh", "-c", script]}, seconds=10.0)


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    """Each fencing leaves a line; none succeeds while there is a file that says so."""
    script = f"echo fenced >> {tmp_path}/fences; test ! -e {tmp_path}/refused"
    found = TwoSites(tmp_path, BOTH, fencing=Fencing((command(script),)))
    found.write("db", "order 1")
    found.replicate()
    return found


def fences(sites: TwoSites) -> int:
    path = sites.folder / "fences"
    return len(path.read_text().splitlines()) if path.exists() else 0


def start(sites: TwoSites, site: str, machine: str) -> None:
    """Somebody starts a machine, past every mark."""
    sites.outside(site).change("VirtualMachine", machine, ("power",), "running")


def at(task: str, kind: type[RunEvent], call: Callable[[], object]) -> Callable[[RunEvent], None]:
    """A listener that calls when this is heard of the task."""

    def listener(event: RunEvent) -> None:
        if isinstance(event, kind) and getattr(event, "task", "") == task:
            call()

    return listener


def stopped_before_web(sites: TwoSites) -> None:
    """A failover of a site that is cut off and lives, stopped when half of it runs."""
    sites.outside(A).cut_off()
    sites.listener = at("start/db", TaskDone, sites.stop.request)
    assert Outcome.CANCELLED is sites.run(Mode.FAILOVER).record.outcome
    assert ["db"] == sites.running(B)
    sites.begin_anew()


def test_a_failover_that_is_gone_on_with_is_fenced_anew_and_looks_anew(sites: TwoSites) -> None:
    stopped_before_web(sites)
    sites.outside(A).come_back()
    assert ["db", "web"] == sites.running(A)
    run = sites.resume(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, 2) == (run.record.outcome, fences(sites))
    assert ([], ["db", "web"]) == (sites.running(A), sites.running(B))
    assert run.tasks["off/web"].result["reachable"]


def test_it_starts_nothing_more_when_the_fencing_is_refused_then(sites: TwoSites) -> None:
    stopped_before_web(sites)
    (sites.folder / "refused").touch()
    run = sites.resume(Mode.FAILOVER)
    assert {"fence/1": "PRV7085"} == trouble(run)
    assert (["db"], What.DONE) == (sites.running(B), run.tasks["turn"].what)


def test_nothing_is_fenced_anew_when_every_machine_has_started(tmp_path: Path) -> None:
    gate = Check("command", {"argv": ["test", "-e", f"{tmp_path}/well"]}, seconds=1.0)
    ill = planned("db", gates=(gate,))
    fence = command(f"echo fenced >> {tmp_path}/fences")
    sites = TwoSites(tmp_path, [ill], fencing=Fencing((fence,)))
    sites.replicate()
    assert {"gate/db/1": "PRV7086"} == trouble(sites.run(Mode.FAILOVER))
    (tmp_path / "well").touch()
    assert Outcome.SUCCEEDED is sites.resume(Mode.FAILOVER).record.outcome
    assert 1 == fences(sites)


def test_a_report_of_such_a_run_tells_the_first_fencing_and_of_each_machine_the_one_before_it(
    sites: TwoSites,
) -> None:
    stopped_before_web(sites)
    sites.resume(Mode.FAILOVER)
    last = sites.journal.last()
    assert last is not None
    run = sites.journal.run(last.id)
    first, second = (str(time.result["at"]) for time in run.tasks["fenced"].times_done)
    found = report(run)
    assert first == str(found.fenced and found.fenced.isoformat())
    for name, fenced in (("db", first), ("web", second)):
        (machine,) = (item for item in found.machines if item.address.endswith(f"/{name}"))
        up = run.tasks[f"start/{name}"].ended
        assert up is not None
        since = (up - datetime.fromisoformat(fenced)).total_seconds()
        assert (Ended.DONE, since) == (machine.ended, machine.since_fenced)


def test_the_critical_path_of_such_a_run_leads_forward_over_what_was_done_anew(
    tmp_path: Path,
) -> None:
    ready = command(f"test -e {tmp_path}/ready")
    own = OwnStep("own", Moment.BEFORE, ready, frozenset({Mode.FAILOVER}), tier=2)
    sites = TwoSites(tmp_path, BOTH, steps=(own,))
    sites.replicate()
    assert {"step/own": "PRV7085"} == trouble(sites.run(Mode.FAILOVER))
    (tmp_path / "ready").touch()
    run = sites.resume(Mode.FAILOVER)
    path = report(run).critical_path
    times = [time for step in path for time in (step.start, step.end)]
    assert sorted(times, key=lambda time: time or 0.0) == times
    names = [step.task.id for step in path]
    assert ("begin", "start/web") == (names[0], names[-1])
    begun = run.tasks["fence/1"].begun
    assert begun is not None
    anew = (begun - run.record.started).total_seconds()
    assert [anew] == [step.start for step in path if step.task.id == "fence/1"]


def test_what_a_machine_wrote_while_a_migration_stood_still_is_not_lost(sites: TwoSites) -> None:
    sites.stop_at("all-off")
    sites.run(Mode.MIGRATE)
    sites.begin_anew()
    start(sites, A, "db")
    sites.write("db", "order 2")
    run = sites.resume(Mode.MIGRATE)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ([], ["order 2"]) == (sites.running(A), sites.on_disk("db", B))


def test_a_migration_that_has_turned_copies_nothing_again_and_sets_no_lost_mark_again(
    sites: TwoSites,
) -> None:
    sites.stop_at("start/db")
    before = sites.run(Mode.MIGRATE)
    sites.begin_anew()
    with sites.sessions() as sessions:
        left = Estate(sites.plan, sessions).placed(machine_address("web"), A)
        sessions.get(left.record).take_over(left.resource, sites.deadline())  # type: ignore[attr-defined]  # it is a Standby
    run = sites.resume(Mode.MIGRATE)
    assert {"stay-off": "PRV7102"} == trouble(run)
    assert "web" not in sites.running(B)
    with sites.sessions() as sessions:
        left = Estate(sites.plan, sessions).placed(machine_address("web"), A)
        sessions.get(left.record).stand_by(left.resource, "for a test", sites.deadline())  # type: ignore[attr-defined]  # it is a Standby
    run = sites.resume(Mode.MIGRATE)
    assert Outcome.SUCCEEDED is run.record.outcome
    copied = [found.tasks["last-synchronise/db"].ended for found in (before, run)]
    assert copied[0] == copied[1]


def test_a_migration_that_has_turned_starts_nothing_while_a_machine_runs_where_it_was(
    sites: TwoSites,
) -> None:
    sites.stop_at("start/db")
    sites.run(Mode.MIGRATE)
    sites.begin_anew()
    running = sites.running(B)
    start(sites, A, "web")
    run = sites.resume(Mode.MIGRATE)
    assert {"stay-off": "PRV7075"} == trouble(run)
    assert running == sites.running(B)


def test_a_site_that_is_lost_behind_the_turn_holds_up_no_migration_and_is_named(
    sites: TwoSites,
) -> None:
    sites.stop_at("start/db")
    sites.run(Mode.MIGRATE)
    sites.begin_anew()
    sites.outside(A).cut_off()
    run = sites.resume(Mode.MIGRATE)
    assert (Outcome.SUCCEEDED, ["db", "web"]) == (run.record.outcome, sites.running(B))
    (told,) = warnings_of(run)
    assert ("PRV7097", {"host-a": 2}) == (told.code, unheard(run))
    assert "earlier look and their marks" in told.summary


def test_a_site_that_is_lost_before_a_migration_has_turned_is_failed_over(
    sites: TwoSites,
) -> None:
    sites.write("db", "order 2")
    sites.stop_at("all-off")
    stopped = sites.run(Mode.MIGRATE)
    assert (Standing.TOUCHED, True) == (standing(stopped), may_begin(stopped, Mode.FAILOVER))
    sites.begin_anew()
    sites.outside(A).power_off()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, ["db", "web"]) == (run.record.outcome, sites.running(B))
    assert ["order 2"] == sites.on_disk("db", B)


def test_a_drill_proves_its_networks_anew(sites: TwoSites) -> None:
    sites.stop_at("start/db")
    first = sites.run(Mode.TEST)
    sites.begin_anew()
    run = sites.resume(Mode.TEST)
    assert Outcome.SUCCEEDED is run.record.outcome
    proven = [found.tasks["isolation/lan-b"].ended for found in (first, run)]
    assert proven[0] != proven[1]


def test_no_machine_starts_in_a_failover_while_it_runs_at_the_other_site(sites: TwoSites) -> None:
    sites.listener = at("start/web", TaskStarted, lambda: start(sites, A, "web"))
    run = sites.run(Mode.FAILOVER)
    assert {"start/web": "PRV7075"} == trouble(run)
    assert (["web"], ["db"]) == (sites.running(A), sites.running(B))


def test_a_site_that_answers_again_during_a_failover_is_looked_at(
    sites: TwoSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENCE", 0.0)
    sites.outside(A).cut_off()

    def listener(event: RunEvent) -> None:
        if isinstance(event, TaskStarted) and event.task == "start/db":
            sites.outside(A).come_back()
        elif isinstance(event, TaskDone) and event.task == "start/db":
            for thread in threading.enumerate():
                if thread.name.startswith("probe"):
                    thread.join(30)

    sites.listener = listener
    run = sites.run(Mode.FAILOVER)
    assert not run.tasks["off/web"].result["reachable"]
    assert {"start/web": "PRV7075"} == trouble(run)


def test_nothing_is_fenced_or_stopped_when_a_machine_has_no_recovery_point(
    sites: TwoSites,
) -> None:
    sites.discard("db")
    run = sites.run(Mode.FAILOVER)
    assert {"points": "PRV7079"} == trouble(run)
    (state,) = run.failed
    assert state.diagnostic is not None
    assert "VirtualMachine/db: no recovery point" in state.diagnostic.summary
    assert "--without db" in state.diagnostic.hint
    assert (0, ["db", "web"], []) == (fences(sites), sites.running(A), sites.running(B))


def test_a_machine_that_is_left_out_is_left_alone_and_holds_nothing(sites: TwoSites) -> None:
    sites.discard("db")
    run = sites.carry_out(failover_runbook(sites.plan, named("db")))
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert (["db"], ["web"]) == (sites.running(A), sites.running(B))
    assert ("VirtualMachine/db",) == left_out(run) == report(run).left_out


def test_hosts_that_gave_no_answer_are_told(sites: TwoSites) -> None:
    sites.outside(A).power_off()
    run = sites.run(Mode.FAILOVER)
    assert {"host-a": 2} == unheard(run) == report(run).unheard
    (told,) = warnings_of(run)
    assert ("PRV7097", "Host/host-a") == (told.code, told.address)


def test_nothing_is_told_of_hosts_that_answered(sites: TwoSites) -> None:
    run = sites.run(Mode.FAILOVER)
    assert ({}, []) == (unheard(run), warnings_of(run))
