"""Machines of others that make room for those of a recovery plan, and when they go on."""

from __future__ import annotations

import pytest

from provisioner.workflows.runs import Outcome
from tests.lifecycle.recoveryprogram import Sites


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
    assert Outcome.SUCCEEDED == away("dr", "failover", "shop", "--yes")["outcome"]
    away.outside("west").come_back()
    away.outside("west").change("VirtualMachine", "batch", ("power",), "suspended")
    assert Outcome.SUCCEEDED == away("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "running" == power_of(away, "batch")
