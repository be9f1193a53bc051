"""What ``dr check`` makes of the drills so far: whether each machine came up in the newest one, and
how long a failover is likely to take.
"""

from __future__ import annotations

from typing import Any

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites

PLACED = "placement: {host: east-1}\nmemory: {size: 1GiB}"
LABELS = "metadata.labels: {app: shop}"
NEW = {
    "Disk/mail-root": "pool: pool-east\nsize: 1GiB",
    "VirtualMachine/mail": f"{PLACED}\n{LABELS}\ndisks: [{{disk: mail-root}}]",
}
DEMANDED = f"{PLAN}\ndrillEvery: 30d"


def checked(sites: Sites, *options: str) -> list[tuple[str, str, str]]:
    """Severity, code and what it is about, of all that the check of the plan says."""
    found: Any = sites("dr", "check", "shop", *options)["plans"]
    (plan,) = found
    return [(item["severity"], item["code"], item["address"]) for item in plan["findings"]]


def drill(sites: Sites, plan: str = DEMANDED) -> object:
    """Make copies, and a whole drill of a plan; returns how that ended."""
    declare(sites.cli, {"RecoveryPlan/shop": plan})
    sites("replicate", "run")
    outcome = sites("dr", "test", "shop")["outcome"]
    sites("dr", "cleanup", "shop")
    return outcome


def gated(on_failure: str) -> str:
    """The plan with a check of db that never succeeds."""
    health = f"health: {{command: {{argv: ['false']}}, timeout: 1s, onFailure: {on_failure}}}"
    return DEMANDED.replace("tier: 1}", f"tier: 1, {health}}}")


def test_a_machine_that_was_added_after_the_last_drill(sites: Sites) -> None:
    assert "succeeded" == drill(sites)
    assert ([], 0) == (checked(sites), sites.code)
    declare(sites.cli, {"RecoveryPlan/shop": DEMANDED, **NEW})
    assert 0 == sites.cli("apply", "--yes").code
    sites("replicate", "run")
    mail = "VirtualMachine/mail"
    assert ([("error", "PRV7119", mail)], 1) == (checked(sites), sites.code)
    declare(sites.cli, {"RecoveryPlan/shop": PLAN, **NEW})
    assert ([("warning", "PRV7119", mail)], 0) == (checked(sites), sites.code)


def test_a_machine_that_was_not_well_in_the_last_drill(sites: Sites) -> None:
    drill(sites)
    assert "in-part" == drill(sites, gated("go-on"))
    assert ([("error", "PRV7119", "VirtualMachine/db")], 1) == (checked(sites), sites.code)
    assert "succeeded" == drill(sites)
    assert [] == checked(sites)


def test_what_a_machine_held_back_did_not_come_up_either(sites: Sites) -> None:
    assert "in-part" == drill(sites, gated("hold"))
    told = [item for item in checked(sites) if item[1] == "PRV7119"]
    assert [("error", "PRV7119", f"VirtualMachine/{name}") for name in ("db", "web")] == told


def test_a_check_that_was_passed_over_proves_nothing(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": gated("hold")})
    sites("replicate", "run")
    sites("dr", "test", "shop")
    run = sites("dr", "resume", "shop", "--pass-over", "gate/db/1")
    assert "succeeded" == run["outcome"]
    about = ("RecoveryPlan/shop", "VirtualMachine/db")
    assert [("error", "PRV7058", about[0]), ("error", "PRV7119", about[1])] == checked(sites)


def test_a_step_that_failed_in_the_last_drill(sites: Sites) -> None:
    failing = "onFailure: go-on, command: {argv: ['false']}"
    step = f"steps: [{{name: tell, when: after, modes: [test], {failing}}}]"
    assert "in-part" == drill(sites, f"{PLAN}\n{step}")
    assert [("error", "PRV7120", "RecoveryPlan/shop")] == checked(sites)


def test_a_drill_that_stopped_before_its_machines_started(sites: Sites) -> None:
    step = "steps: [{name: no, when: before, modes: [test], command: {argv: ['false']}}]"
    assert "stopped" == drill(sites, f"{PLAN}\n{step}")
    machines = [("error", "PRV7119", f"VirtualMachine/{name}") for name in ("db", "web")]
    assert [*machines, ("error", "PRV7120", "RecoveryPlan/shop")] == checked(sites)


def test_the_time_is_predicted_as_dr_plan_does(sites: Sites) -> None:
    slow = f"{PLAN}\nrecoveryTimeObjective: 1s"
    declare(sites.cli, {"RecoveryPlan/shop": slow})
    sites("replicate", "run")
    plan = "RecoveryPlan/shop"
    never = [("warning", "PRV7119", plan), ("warning", "PRV7121", plan)]
    assert (never, 0) == (checked(sites), sites.code)
    drill(sites, slow)
    assert ([("error", "PRV7061", plan)], 1) == (checked(sites), sites.code)
    found: Any = sites("dr", "check", "shop")["plans"]
    outlook = sites("dr", "plan", "shop", "failover")
    seen = (outlook["seconds"], outlook["assumed"])
    assert seen == (found[0]["predictedSeconds"], found[0]["assumedSteps"])


def test_a_recovery_point_that_is_not_there_is_refused_before_a_drill_begins(sites: Sites) -> None:
    sites("replicate", "run")
    done = sites.cli("dr", "test", "shop", "--point", "web=99999999", "--point", "db=00000001")
    assert 1 == done.code
    assert "VirtualMachine/web has no recovery point '99999999'" in done.err
    assert "00000001 (" in done.err
    assert [] == sites.cli("dr", "history", "shop", "--json").json
    assert "succeeded" == sites("dr", "test", "shop", "--point", "web=00000001")["outcome"]
