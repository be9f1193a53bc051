"""Machines of others that make room for those of a recovery plan, and when they go on."""

from __future__ import annotations

import pytest

from provisioner.workflows.runs import Outcome
from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.test_cli_recovery_again import step


def power_of(sites: Sites, machine: str, site: str = "west") -> object:
    found = sites.outside(site).find("VirtualMachine", machine)
    assert found is not None
    return found.running.get(("power",), found.spec.get("power", "running"))


@pytest.fixture
def away(sites: Sites) -> Sites:
    """The plan's machines have taken the place of another one."""
    sites("replicate", "run")
    assert Outcome.SUCCEEDED == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert "suspended" == power_of(sites, "batch")
    return sites


def test_what_made_room_goes_on_when_the_machines_have_gone_home(away: Sites) -> None:
    assert Outcome.SUCCEEDED == away("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "suspended" == power_of(away, "batch")
    assert Outcome.SUCCEEDED == away("dr", "failback", "shop", "--yes")["outcome"]
    assert "running" == power_of(away, "batch")


def test_what_made_room_goes_on_when_its_site_comes_back_without_the_machines(away: Sites) -> None:
    away("dr", "reprotect", "shop", "--yes")
    away.outside("west").power_off()
    again = f"{SUSPENDED} It goes on with: provisioner dr reprotect shop"
    assert again in said(away, "dr", "failover", "shop", "--yes")
    away.outside("west").come_back()
    away.outside("west").change("VirtualMachine", "batch", ("power",), "suspended")
    assert Outcome.SUCCEEDED == away("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "running" == power_of(away, "batch")


YES = {"reprotect": ("--yes",)}
SUSPENDED = "Suspended at west to make room: batch."


def said(sites: Sites, *arguments: str) -> str:
    """What a command prints, in one line."""
    return " ".join(sites.cli(*arguments).out.split())


def test_nobody_makes_room_for_a_failover_that_has_no_recovery_points(sites: Sites) -> None:
    done = sites.cli("dr", "failover", "shop", "--yes")
    assert 5 == done.code
    assert "Nothing was fenced, stopped or suspended" in " ".join(done.err.split())
    assert "running" == power_of(sites, "batch")


def test_nobody_makes_room_before_the_fencing_has_succeeded(sites: Sites) -> None:
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    assert 5 == sites.cli("dr", "failover", "shop", "--yes").code
    assert "running" == power_of(sites, "batch")
    assert SUSPENDED not in said(sites, "dr", "status", "shop")


@pytest.fixture(params=["migrate", "failover"])
def stopped(sites: Sites, request: pytest.FixtureRequest) -> Sites:
    """A run that stops when others have made room, and none of its machines has started."""
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": step(request.param, "['false']")})
    assert Outcome.STOPPED == sites("dr", request.param, "shop", "--yes")["outcome"]
    assert "suspended" == power_of(sites, "batch")
    return sites


def test_who_makes_room_is_named_until_a_rollback_lets_it_go_on(stopped: Sites) -> None:
    told, again = f"{SUSPENDED} It goes on with a rollback.", "start the machines again at east"
    assert f"{told} Or {again}" in said(stopped, "dr", "status", "shop")
    assert f"{told} To {again}" in said(stopped, "dr", "cancel", "shop")
    found = stopped("dr", "status", "shop")["suspended"]
    assert [{"machine": "VirtualMachine/batch", "site": "west"}] == found
    assert SUSPENDED not in said(stopped, "dr", "rollback", "shop", "--yes")
    assert "running" == power_of(stopped, "batch")
    assert [] == stopped("dr", "status", "shop")["suspended"]


def test_a_run_that_has_succeeded_names_who_makes_room_and_so_does_one_after_it(
    sites: Sites,
) -> None:
    sites("replicate", "run")
    told = f"{SUSPENDED} It goes on when the machines of shop have left west again: provisioner dr"
    assert f"{told} failback shop" in said(sites, "dr", "migrate", "shop", "--yes")
    assert f"{told} failback shop" in said(sites, "dr", "reprotect", "shop", "--yes")
    assert SUSPENDED not in said(sites, "dr", "failback", "shop", "--yes")


def test_a_drill_names_who_makes_room_for_it(sites: Sites) -> None:
    sites("replicate", "run")
    told = f"{SUSPENDED} It goes on with: provisioner dr cleanup shop"
    assert told in said(sites, "dr", "test", "shop")
    assert SUSPENDED not in said(sites, "dr", "cleanup", "shop")


SPARE = "Suspended at east to make room: spare."
BOTH = PLAN.replace("{machine: batch}", "{machine: batch}, {machine: spare}")


@pytest.fixture
def at_both(sites: Sites) -> Sites:
    """The plan's machines make others make room wherever they come to, and are away from home."""
    spare = "placement: {host: east-1}\nmemory: {size: 1GiB}"
    declare(sites.cli, {"VirtualMachine/spare": spare, "RecoveryPlan/shop": BOTH})
    assert 0 == sites.cli("apply", "--yes").code
    sites("replicate", "run")
    for mode in ("migrate", "reprotect"):
        assert Outcome.SUCCEEDED == sites("dr", mode, "shop", "--yes")["outcome"]
    return sites


@pytest.mark.parametrize("homeward", ["failback", "failover"])
def test_what_makes_room_at_home_goes_on_when_the_machines_leave_it(
    at_both: Sites, homeward: str
) -> None:
    told = f"{SPARE} It goes on when the machines of shop have left east again: provisioner dr"
    assert f"{told} migrate shop" in said(at_both, "dr", homeward, "shop", "--yes")
    assert f"{told} migrate shop" in said(at_both, "dr", "status", "shop")
    assert "suspended" == power_of(at_both, "spare", "east")
    at_both("dr", "reprotect", "shop", "--yes")
    assert SPARE not in said(at_both, "dr", "migrate", "shop", "--yes")
    assert "running" == power_of(at_both, "spare", "east")


@pytest.mark.parametrize("mode", ["reprotect", "test"])
def test_so_it_is_said_after_runs_that_lead_nowhere(at_both: Sites, mode: str) -> None:
    at_both("dr", "failback", "shop", "--yes")
    at_both("dr", "reprotect", "shop", "--yes")
    told = f"{SPARE} It goes on when the machines of shop have left east again: provisioner dr"
    assert f"{told} migrate shop" in said(at_both, "dr", mode, "shop", *YES.get(mode, ()))
