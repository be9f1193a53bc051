"""Commands of recovery after a run that did not succeed: what may begin, and what is said."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.test_cli_recovery import wait_for
from tests.unit.workflows.acting import far_away


def step(mode: str, argv: str, where: str = "when: before, tier: 1") -> str:
    """The plan with a command of the author's."""
    return f"{PLAN}\nsteps: [{{name: own, {where}, modes: [{mode}], command: {{argv: {argv}}}}}]"


def ill(well: object) -> str:
    """The plan with a database that is well as soon as there is a file."""
    health = f"health: {{command: {{argv: [test, -e, '{well}']}}, timeout: 1s}}"
    return PLAN.replace("{machine: db, tier: 1}", f"{{machine: db, tier: 1, {health}}}")


@pytest.fixture
def half_over(sites: Sites) -> Sites:
    """A failover of which only the database runs at the other site."""
    declare(sites.cli, {"RecoveryPlan/shop": ill(sites.cli.root / "well")})
    sites("replicate", "run")
    assert "in-part" == sites("dr", "failover", "shop", "--yes")["outcome"]
    assert ["batch", "db"] == sorted({"batch", *sites.running("west")})
    return sites


@pytest.mark.parametrize(
    "arguments",
    [
        ["failover", "shop", "--yes"],
        ["migrate", "shop", "--yes"],
        ["failback", "shop", "--yes"],
        ["reprotect", "shop", "--yes"],
        ["test", "shop"],
        ["cleanup", "shop"],
    ],
)
def test_nothing_else_begins_after_half_a_failover(half_over: Sites, arguments: list[str]) -> None:
    before = (half_over.running("east"), half_over.running("west"))
    done = half_over.cli("dr", *arguments, "--json")
    assert (1, ["PRV7096"]) == (done.code, done.codes)
    assert "dr resume shop" in done.err
    assert "dr cancel shop" in done.err
    assert before == (half_over.running("east"), half_over.running("west"))
    assert ["failover"] == [
        run["mode"] for run in half_over.cli("dr", "history", "shop", "--json").json
    ]


def test_but_resume_goes_on_with_it(half_over: Sites) -> None:
    (half_over.cli.root / "well").touch()
    assert "succeeded" == half_over("dr", "resume", "shop")["outcome"]
    assert ["db", "web"] == half_over.running("west")


GATE = "gate/db/1"


def test_a_wrong_gate_is_passed_over_and_that_is_told(half_over: Sites) -> None:
    cli = half_over.cli
    command = f"  provisioner dr resume shop --pass-over {GATE}"
    assert command in cli("dr", "status", "shop").out.splitlines()
    done = cli("dr", "resume", "shop", "--pass-over", GATE)
    assert (0, ["db", "web"]) == (done.code, half_over.running("west"))
    for text in (done.out, cli("dr", "status", "shop").out):
        assert f"db: check it with a command ({GATE})" in text
        assert "  Passed over by " in text
    assert "Passed over: 1 check by " in cli("dr", "report", "shop").out
    report = half_over("dr", "report", "shop", "--unsigned")
    gates, passed = report["gates"], report["passedOver"]
    assert isinstance(gates, list)
    assert isinstance(passed, list)
    assert ["failed"] == [gate["state"] for gate in gates]
    assert [(GATE, gates[0]["passedOver"])] == [(one["step"], one["by"]) for one in passed]


def test_a_wrong_gate_that_counts_for_one_machine_is_passed_over(sites: Sites) -> None:
    edge = "{machine: db, health: {command: {argv: ['false']}, timeout: 1s}}"
    plan = PLAN.replace("after: [{machine: db}]", f"after: [{edge}]")
    declare(sites.cli, {"RecoveryPlan/shop": plan})
    sites("replicate", "run")
    assert "in-part" == sites("dr", "failover", "shop", "--yes")["outcome"]
    assert ["db"] == sites.running("west")
    gate = "gate/db/for/web/1"
    command = f"  provisioner dr resume shop --pass-over {gate}"
    assert command in sites.cli("dr", "status", "shop").out.splitlines()
    assert 0 == sites.cli("dr", "resume", "shop", "--pass-over", gate).code
    assert ["db", "web"] == sites.running("west")
    gates = sites("dr", "report", "shop", "--unsigned")["gates"]
    assert isinstance(gates, list)
    (found,) = gates
    told = [found[name] for name in ("step", "machine", "for", "state")]
    assert [gate, "VirtualMachine/db", "VirtualMachine/web", "failed"] == told
    assert found["passedOver"]


def test_nothing_that_keeps_machines_apart_is_passed_over(half_over: Sites) -> None:
    done = half_over.cli("dr", "resume", "shop", "--pass-over", "fence/1", "--json")
    assert (1, ["PRV7103"]) == (done.code, done.codes)
    assert ["batch", "db"] == sorted({"batch", *half_over.running("west")})


def test_what_is_given_up_lets_other_runs_begin(half_over: Sites) -> None:
    done = half_over.cli("dr", "cancel", "shop")
    assert done.out.startswith("The failover of shop is given up")
    assert "  It was given up." in half_over.cli("dr", "status", "shop").out.splitlines()
    assert "in-part" == half_over("dr", "reprotect", "shop", "--yes")["outcome"]


def test_a_failover_of_which_all_has_started_may_be_reprotected(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("failover", "['false']", "when: after")})
    sites("replicate", "run")
    assert "stopped" == sites("dr", "failover", "shop", "--yes")["outcome"]
    assert ["db", "web"] == sites.running("west")
    done = sites.cli("dr", "failover", "shop", "--yes", "--json")
    assert (1, ["PRV7096"]) == (done.code, done.codes)
    assert "succeeded" == sites("dr", "reprotect", "shop", "--yes")["outcome"]


def test_a_migration_that_was_rolled_back_leaves_a_plan_that_fails_over(sites: Sites) -> None:
    sites("replicate", "run")
    ready = sites.cli.root / "ready"
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", f"[test, -e, '{ready}']")})
    sites.cli("dr", "migrate", "shop", "--yes")
    assert "succeeded" == sites("dr", "rollback", "shop", "--yes")["outcome"]
    assert "succeeded" == sites("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]


def test_a_refused_fencing_is_mended_and_the_failover_begun_again(sites: Sites) -> None:
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    assert 5 == sites.cli("dr", "failover", "shop", "--yes").code
    done = sites.cli("dr", "migrate", "shop", "--yes", "--json")
    assert (1, ["PRV7096"]) == (done.code, done.codes)
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]


def killed_in_a_drill(sites: Sites, *, when: str) -> None:
    sites("replicate", "run")
    asking = f"steps: [{{name: slow, when: {when}, tier: 1, modes: [test], prompt: 'Go on?'}}]"
    declare(sites.cli, {"RecoveryPlan/shop": f"{PLAN}\n{asking}"})
    process = sites.cli.start("dr", "test", "shop", "--json")
    wait_for(sites, "step/slow")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def test_a_drill_that_was_killed_ends_for_a_clean_up(sites: Sites) -> None:
    killed_in_a_drill(sites, when="after")
    assert ["drill-shop-db"] == sites.running("west")
    assert "  provisioner dr cleanup shop" in sites.cli("dr", "status", "shop").out.splitlines()
    assert "succeeded" == sites("dr", "cleanup", "shop")["outcome"]
    history = sites.cli("dr", "history", "shop", "--json").json
    expected = [("cleanup", "succeeded"), ("test", "cancelled")]
    assert expected == [(run["mode"], run["outcome"]) for run in history]
    assert ["batch"] == sites.running("west")


def test_a_drill_that_is_under_way_is_not_cleared_away(sites: Sites) -> None:
    sites("replicate", "run")
    asking = "steps: [{name: slow, when: after, tier: 1, modes: [test], prompt: 'Go on?'}]"
    declare(sites.cli, {"RecoveryPlan/shop": f"{PLAN}\n{asking}"})
    process = sites.cli.start("dr", "test", "shop", "--json")
    wait_for(sites, "step/slow")
    done = sites.cli("dr", "cleanup", "shop", "--json")
    assert (1, ["PRV7001"]) == (done.code, done.codes)
    sites.cli("dr", "answer", "shop", "yes")
    process.communicate(timeout=30)
    assert ["drill-shop-db", "drill-shop-web"] == sites.running("west")


def test_a_drill_that_was_killed_ends_for_a_failover(sites: Sites) -> None:
    killed_in_a_drill(sites, when="before")
    done = sites.cli("dr", "migrate", "shop", "--yes", "--json")
    assert (1, ["PRV7001"]) == (done.code, done.codes)
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    history = sites.cli("dr", "history", "shop", "--json").json
    expected = [("failover", "succeeded"), ("test", "cancelled")]
    assert expected == [(run["mode"], run["outcome"]) for run in history]
    assert ["db", "web"] == sites.running("west")


@pytest.mark.parametrize("command", [("failover", "--yes"), ("cleanup",)])
def test_a_drill_of_another_machine_ends_if_somebody_knows_that_it_is_gone(
    sites: Sites, command: tuple[str, ...]
) -> None:
    killed_in_a_drill(sites, when="before")
    far_away(journal_of(sites))
    done = sites.cli("dr", command[0], "shop", *command[1:], "--json")
    assert (1, ["PRV7001"]) == (done.code, done.codes)
    assert "succeeded" == sites("dr", command[0], "shop", *command[1:], "--take-over")["outcome"]


def test_no_consent_ends_a_drill_that_is_seen_to_live(sites: Sites) -> None:
    sites("replicate", "run")
    asking = "steps: [{name: slow, when: after, tier: 1, modes: [test], prompt: 'Go on?'}]"
    declare(sites.cli, {"RecoveryPlan/shop": f"{PLAN}\n{asking}"})
    process = sites.cli.start("dr", "test", "shop", "--json")
    wait_for(sites, "step/slow")
    done = sites.cli("dr", "failover", "shop", "--yes", "--take-over", "--json")
    assert (1, ["PRV7001"]) == (done.code, done.codes)
    sites.cli("dr", "answer", "shop", "yes")
    process.communicate(timeout=30)


def journal_of(sites: Sites) -> Path:
    (found,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    return found


def test_a_run_in_which_nothing_was_done_is_in_nobodys_way(sites: Sites) -> None:
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']", "when: before")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert "succeeded" == sites("dr", "test", "shop")["outcome"]


def test_no_rollback_once_a_machine_has_started_over_there(sites: Sites) -> None:
    sites("replicate", "run")
    well = sites.cli.root / "well"
    declare(sites.cli, {"RecoveryPlan/shop": ill(well)})
    assert "in-part" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    done = sites.cli("dr", "rollback", "shop", "--yes", "--json")
    assert (1, ["PRV7100"]) == (done.code, done.codes)
    assert "dr failback shop" in done.err
    # Nor when somebody has shut it down since.
    sites.outside("west").change("VirtualMachine", "db", ("power",), "stopped")
    assert "PRV7100" in sites.cli("dr", "rollback", "shop", "--yes", "--json").codes
    well.touch()
    sites.outside("west").change("VirtualMachine", "db", ("power",), "running")
    assert "succeeded" == sites("dr", "resume", "shop")["outcome"]


def test_nor_when_the_journal_does_not_know_of_it(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert not {"db", "web"} & set(sites.running("west"))
    sites.outside("west").add("VirtualMachine", "db", {"power": "running"})
    done = sites.cli("dr", "rollback", "shop", "--yes", "--json")
    assert (1, ["PRV7100"]) == (done.code, done.codes)


def test_nor_when_another_journal_has_gone_on_since_the_rollback_began(sites: Sites) -> None:
    sites("replicate", "run")
    ready = sites.cli.root / "ready"
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", f"[test, -e, '{ready}']")})
    sites("dr", "migrate", "shop", "--yes")
    (journal,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    copy = shutil.copy(journal, sites.cli.root / "copy.db")
    sites.outside("west").add("VirtualMachine", "db", {"power": "stopped"})
    assert "stopped" == sites("dr", "rollback", "shop", "--yes")["outcome"]
    sites.outside("west").remove("VirtualMachine", "db")
    ready.touch()
    assert "succeeded" == sites("dr", "resume", "shop", "--journal", copy)["outcome"]
    for machine in ("db", "web"):
        sites.outside("west").change("VirtualMachine", machine, ("power",), "stopped")
    for command in (("resume", "shop"), ("rollback", "shop", "--yes")):
        assert ["PRV7100"] == sites.cli("dr", *command, "--json").codes
    assert [] == sites.running("east")


def test_a_failover_of_which_nothing_has_started_is_rolled_back(sites: Sites) -> None:
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": step("failover", "['false']")})
    assert "stopped" == sites("dr", "failover", "shop", "--yes")["outcome"]
    assert [] == sites.running("east")
    assert "succeeded" == sites("dr", "rollback", "shop", "--yes")["outcome"]
    assert ["db", "web"] == sites.running("east")


def test_a_failover_without_recovery_points_fences_nothing_and_says_so(sites: Sites) -> None:
    fenced = sites.cli.root / "fenced"
    plan = PLAN.replace("['true']", f"[touch, '{fenced}']")
    declare(sites.cli, {"RecoveryPlan/shop": plan})
    done = sites.cli("dr", "failover", "shop", "--yes")
    assert (5, False) == (done.code, fenced.exists())
    assert "error[PRV7079]" in done.err
    assert "--without db --without web" in done.err


def test_a_machine_without_a_recovery_point_is_left_out_knowingly(sites: Sites) -> None:
    sites("replicate", "run")
    unknown = sites.cli("dr", "failover", "shop", "--without", "batch", "--yes", "--json")
    assert (1, ["PRV7089"]) == (unknown.code, unknown.codes)
    done = sites.cli("dr", "failover", "shop", "--without", "web", "--yes")
    assert (0, ["db"]) == (done.code, sites.running("west"))
    assert "  Left out: VirtualMachine/web" in done.out.splitlines()
    assert ["web"] == sites.running("east")
    told = sites.cli("dr", "report", "shop", "--format", "json", "--unsigned").json
    assert ["VirtualMachine/web"] == told["leftOut"]


def test_hosts_that_gave_no_answer_are_named_in_output_and_report(sites: Sites) -> None:
    sites("replicate", "run")
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    sites.outside("east").cut_off()
    began = time.monotonic()
    done = sites.cli("dr", "failover", "--from", "shop.dr", "--trusted", "ops.pub", "--yes")
    assert 0 == done.code
    assert time.monotonic() - began < 30
    assert "warning[PRV7097]: Host/east-1" in done.err
    assert "  Gave no answer, so that only the fencing tells: east-1" in done.out
    report = ("dr", "report", "--from", "shop.dr", "--unsigned")
    assert {"east-1": 2} == sites.cli(*report, "--format", "json").json["unheard"]
    assert "Silent hosts: east-1" in sites.cli(*report).out


def stopped_half_way(sites: Sites) -> None:
    """A migration that fails when its machines are off and nothing has started over there."""
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert not {"db", "web"} & set(sites.running("east"))


def test_what_a_run_leaves_is_said_with_both_ways_from_there(sites: Sites) -> None:
    stopped_half_way(sites)
    told = sites.cli("dr", "status", "shop").out.splitlines()
    assert "  Shut down at east, and not started at west: db and web." in told
    assert "  Marked at east as not to start: db and web." in told
    assert "  provisioner dr resume shop" in told
    assert "  provisioner dr rollback shop" in told


def test_whoever_gives_a_run_up_hears_what_it_leaves(sites: Sites) -> None:
    stopped_half_way(sites)
    told = sites.cli("dr", "cancel", "shop").out.splitlines()
    assert "  Shut down at east, and not started at west: db and web." in told
    assert "  provisioner dr rollback shop" in told
    assert "succeeded" == sites("dr", "rollback", "shop", "--yes")["outcome"]


def test_no_rollback_is_offered_where_a_machine_has_started(half_over: Sites) -> None:
    done = half_over.cli("dr", "failover", "shop", "--yes", "--json")
    assert ["PRV7096"] == done.codes
    for text in (done.err, half_over.cli("dr", "status", "shop").out):
        assert "dr resume shop" in text
        assert "rollback" not in text
    told = half_over.cli("dr", "cancel", "shop").out
    assert "  Shut down at east, and not started at west: web." in told.splitlines()
    assert "rollback" not in told


def test_a_run_that_was_given_up_is_only_gone_on_with_by_a_yes(half_over: Sites) -> None:
    (half_over.cli.root / "well").touch()
    half_over.cli("dr", "cancel", "shop")
    done = half_over.cli("dr", "resume", "shop", "--json")
    assert (1, ["PRV6002"]) == (done.code, done.codes)
    assert "was given up by" in done.err
    assert "succeeded" == half_over("dr", "resume", "shop", "--yes")["outcome"]


def test_a_migration_that_succeeded_is_not_to_be_resumed(sites: Sites) -> None:
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    done = sites.cli("dr", "rollback", "shop", "--yes", "--json")
    assert ["PRV7100"] == done.codes
    assert "dr resume" not in done.err
    assert "dr reprotect shop" in done.err


def test_after_a_migration_a_check_names_the_reprotection(sites: Sites) -> None:
    sites.cli("dr", "migrate", "shop", "--yes")
    done = sites.cli("dr", "check", "shop", "--json")
    assert "PRV7056" in done.codes
    assert "'provisioner dr reprotect shop'" in done.err
    assert "replicate run" not in done.err
    assert "succeeded" == sites("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "PRV7056" not in sites.cli("dr", "check", "shop", "--json").codes


def test_commands_repeat_variables_and_what_a_stored_plan_needs(sites: Sites) -> None:
    cli = sites.cli
    assert 0 == cli("dr", "key", "ops").code
    every = f"{PLAN}\ndrillEvery: 30d"
    declare(cli, {"RecoveryPlan/shop": every})
    assert 0 == cli("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops").code
    stored = ("--from", "shop.dr", "--trusted", "ops.pub")
    checked = cli("dr", "check", *stored, "--json")
    assert "'provisioner dr test shop --from shop.dr --trusted ops.pub'" in checked.err
    assert "'provisioner replicate run shop --from shop.dr --trusted ops.pub'" in checked.err
    missing = cli("dr", "failover", *stored, "--yes").err.splitlines()
    command = "provisioner dr failover shop --without db --without web --from shop.dr --trusted"
    assert f"{command} ops.pub" in map(str.strip, missing)
    told = cli("dr", "status", "--from", "shop.dr", "--var", "a=b c").out
    assert "  provisioner dr resume shop --from shop.dr --var 'a=b c' --trusted FILE" in told
    assert "--trusted FILE" not in cli("dr", "status", *stored).out


def test_a_plan_for_the_way_back_says_in_one_line_that_it_leads_back(sites: Sites) -> None:
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    told = sites.cli("dr", "plan", "shop", "failback").out
    since = told[told.index("Changed since") :]
    assert "It leads from west to east now, and led from east to west: " in since
    assert "start db" not in since
    assert (
        "start db"
        in sites.cli("dr", "plan", "shop", "failback", "--verbose").out.split("Changed since")[1]
    )


def test_what_is_said_of_several_machines_is_said_once(sites: Sites) -> None:
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    done = sites.cli("replicate", "run", "shop")
    assert 1 == done.err.count("error[PRV7080]")
    assert "  The same for VirtualMachine/" in done.err
