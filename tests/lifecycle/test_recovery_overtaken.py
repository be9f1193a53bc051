"""Runs that are gone on with by a copy of their journal, after another one has led the machines
on: refused before anything is done. And what is refused because it would lead nowhere.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.recovery.actions import Estate
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes import tasks
from provisioner.workflows.recovery.overtaken import check_not_overtaken
from tests.lifecycle.commandline import Finished
from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.twosites import TwoSites
from tests.unit.workflows.recovery.plans import A, machine_address, planned

MACHINE = "VirtualMachine"


def held(mode: str, ready: Path, where: str = "when: before, tier: 1") -> str:
    """The plan with a step that fails as long as there is no such file."""
    argv = f"[test, -e, '{ready}']"
    return f"{PLAN}\nsteps: [{{name: own, {where}, modes: [{mode}], command: {{argv: {argv}}}}}]"


def refusal(done: Finished) -> dict[str, str]:
    """The only diagnostic of a command with --json that was refused."""
    assert 1 == done.code
    (found,) = [json.loads(line) for line in done.err.splitlines() if line[:1] == "{"]
    assert isinstance(found, dict)
    return found


def journal(sites: Sites) -> Path:
    (found,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    return found


def copied(sites: Sites) -> Path:
    """A copy of the journal as it is now."""
    path = sites.cli.root / "copy.db"
    shutil.copy(journal(sites), path)
    return path


def lead(sites: Sites, *commands: str) -> None:
    for command in commands:
        arguments = () if command == "resume" else ("--yes",)
        assert "succeeded" == sites("dr", command, "shop", *arguments)["outcome"]


def power_off(sites: Sites, site: str) -> None:
    for name in ("db", "web"):
        sites.outside(site).change(MACHINE, name, ("power",), "stopped")


def stopped_behind_its_turn(sites: Sites, mode: str) -> Path:
    """A run that has turned and started nothing; returns the file that lets it go on."""
    ready = sites.cli.root / "ready"
    declare(sites.cli, {"RecoveryPlan/shop": held(mode, ready)})
    sites("replicate", "run")
    assert "stopped" == sites("dr", mode, "shop", "--yes")["outcome"]
    assert not {"db", "web"} & set(sites.running("west"))
    return ready


def test_a_copy_of_a_migration_starts_no_old_disks(sites: Sites) -> None:
    ready = stopped_behind_its_turn(sites, "migrate")
    copy = copied(sites)
    ready.touch()
    lead(sites, "resume", "reprotect", "failback")
    power_off(sites, "east")
    said = refusal(sites.cli("dr", "resume", "shop", "--journal", copy, "--json"))
    assert ("PRV7102", ["batch"]) == (said["code"], sites.running("west"))
    expected = "VirtualMachine/db is stopped at east without the mark that the run has set"
    assert expected in said["summary"]
    assert f"'provisioner dr cancel shop --journal {copy}'" in said["hint"]
    assert [] == sites.running("east")


def test_a_copy_of_a_failover_does_not_fence_the_site_where_the_machines_are(sites: Sites) -> None:
    fences = sites.cli.root / "fences"
    plan = PLAN.replace("['true']", f"[sh, -c, 'echo x >> {fences}']")
    ready = sites.cli.root / "ready"
    steps = held("failover", ready, "when: before, tier: 2").removeprefix(PLAN)
    declare(sites.cli, {"RecoveryPlan/shop": plan + steps})
    sites("replicate", "run")
    sites.outside("east").cut_off()
    assert "stopped" == sites("dr", "failover", "shop", "--yes")["outcome"]
    copy = copied(sites)
    ready.touch()
    lead(sites, "resume")
    sites.outside("east").come_back()  # with its machines, which were only cut off
    consent = ("--allow-data-loss", "db", "--allow-data-loss", "web", "--yes")
    assert "succeeded" == sites("dr", "reprotect", "shop", *consent)["outcome"]
    lead(sites, "failback", "reprotect")
    before = fences.read_text()
    said = refusal(sites.cli("dr", "resume", "shop", "--journal", copy, "--json"))
    assert ("PRV7102", before) == (said["code"], fences.read_text())
    assert "VirtualMachine/db was started at west by the run, and stands by there now" in str(said)
    assert "the disks of VirtualMachine/web at west are replicas again" in said["detail"]
    assert (["db", "web"], ["batch"]) == (sites.running("east"), sites.running("west"))


def test_a_silent_site_delays_a_resumption_by_seconds_and_is_no_evidence(sites: Sites) -> None:
    ready = stopped_behind_its_turn(sites, "migrate")
    ready.touch()
    sites.outside("east").cut_off()
    began = time.monotonic()
    lead(sites, "resume")
    assert ["db", "web"] == sites.running("west")
    assert time.monotonic() - began < 30


def test_what_was_removed_at_the_old_site_overtakes_nothing(sites: Sites) -> None:
    ready = stopped_behind_its_turn(sites, "migrate")
    ready.touch()
    sites.outside("east").remove(MACHINE, "web")
    lead(sites, "resume")


@pytest.mark.parametrize("command", ["failover", "migrate", "failback"])
def test_nothing_leads_back_before_something_is_copied_back(sites: Sites, command: str) -> None:
    sites("replicate", "run")
    lead(sites, "failover")
    said = refusal(sites.cli("dr", command, "shop", "--yes", "--json"))
    assert ("PRV7096", True) == (said["code"], "'provisioner dr reprotect shop'" in said["hint"])
    assert "was failed over at" in said["summary"]
    assert "runs at west; nothing is copied back yet" in said["summary"]
    lead(sites, "reprotect", command)
    assert ["db", "web"] == sites.running("east")


def test_a_run_whose_hosts_cannot_be_reached_ends_soon_and_stands_in_nobodys_way(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites("replicate", "run")
    sites.outside("east").cut_off()
    monkeypatch.setattr(tasks, "CONNECTING", 1.0)
    began = time.monotonic()
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert time.monotonic() - began < 30
    lead(sites, "failover")


def test_copies_that_another_tool_makes_are_not_waited_for(sites: Sites) -> None:
    sites("replicate", "run")
    lead(sites, "failover")
    declare(sites.cli, {"ProtectionGroup/shop": EXTERNAL, "RecoveryPlan/shop": PLAN})
    assert ["PRV6002"] == sites.cli("dr", "failback", "shop", "--json").codes  # it asks


EXTERNAL = """\
sitePair: both
selector: {matchLabels: {app: shop}}
recoveryPointObjective: 10m
replication: {type: external}
excludeDisks: [{disk: db-scratch}]"""


def test_what_a_person_said_of_the_direction_is_remembered(sites: Sites) -> None:
    sites("replicate", "run")
    lead(sites, "migrate")
    stale = copied(sites)
    lead(sites, "reprotect", "failback")
    named = ("shop", "--journal", stale)
    said = ("--running-at", "east", "--yes")
    assert "succeeded" == sites("dr", "reprotect", *named, *said)["outcome"]
    planned = sites.cli("dr", "plan", "shop", "failover", *named[1:])
    assert planned.out.startswith("Failover of shop, from east to west: ")
    assert "succeeded" == sites("dr", "migrate", *named, "--yes")["outcome"]
    assert ["db", "web"] == sites.running("west")


def test_a_plan_of_a_failback_does_not_state_what_nobody_has_told(sites: Sites) -> None:
    sites("replicate", "run")
    lead(sites, "migrate")
    journal(sites).unlink()
    said = refusal(sites.cli("dr", "plan", "shop", "failback", "--json"))
    assert "PRV7090" == said["code"]
    assert said["summary"].startswith("as far as its journal knows")
    assert "--journal FILE" in said["hint"]


def test_a_fence_that_was_refused_may_have_cut_something_off(sites: Sites) -> None:
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    assert 5 == sites.cli("dr", "failover", "shop", "--yes").code
    said = refusal(sites.cli("dr", "migrate", "shop", "--yes", "--json"))
    assert ("PRV7096", True) == (said["code"], "may have been fenced" in said["detail"])


def test_a_migration_that_has_not_turned_is_not_judged_and_another_run_is(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned("db")])
    sites.replicate()
    sites.stop_at("all-off")
    before_its_turn = sites.run(Mode.MIGRATE)
    sites.begin_anew()
    turned = sites.resume(Mode.MIGRATE)
    with sites.sessions() as sessions:
        estate = Estate(sites.plan, sessions)
        check_not_overtaken(estate, turned)
        left = estate.placed(machine_address("db"), A)
        sessions.get(left.record).take_over(left.resource, sites.deadline())  # type: ignore[attr-defined]  # it is a Standby
        check_not_overtaken(estate, before_its_turn)
        with pytest.raises(ProvisionerError) as refused:
            check_not_overtaken(estate, turned)
        sites.outside(A).cut_off()
        check_not_overtaken(estate, turned)
    assert "PRV7102" == refused.value.diagnostics[0].code
