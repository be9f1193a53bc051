"""What a plan does about protected machines that run at their other site: it holds, and asks there
first. The journal of the recovery plan is elsewhere here, as it is for a pipeline.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import RESOURCES, declare
from tests.lifecycle.test_cli_recovery import PLAN, Sites, sites

__all__ = ["sites"]

POWERED = {
    f"VirtualMachine/{name}": RESOURCES[f"VirtualMachine/{name}"] + "\npower: running"
    for name in ("db", "web")
}
EAST = ("--exclude", "*/*-west", "--exclude", "VirtualMachine/batch")
RUNS = "it runs at Site/west (Host/west-1), and would run twice"


def manifests(cli: CommandLine, changes: Mapping[str, str] | None = None) -> None:
    declare(cli, {"RecoveryPlan/shop": PLAN, **POWERED, **(changes or {})})


@pytest.fixture
def failed_over(sites: Sites) -> Sites:
    """East was lost, and is back: its machines are off, and bear no mark."""
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    sites("replicate", "run")
    sites.outside("east").power_off()
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    sites.outside("east").come_back()
    assert ([], ["db", "web"]) == (sites.running("east"), sites.running("west"))
    return sites


@pytest.fixture
def pipeline(failed_over: Sites) -> Sites:
    """It has the manifests and the state, and knows nothing of the failover."""
    forget_journals(failed_over.cli.root)
    return failed_over


def journals(root: Path) -> Path:
    (found,) = root.rglob("recovery")
    return found


def forget_journals(root: Path) -> None:
    shutil.rmtree(journals(root))


def held(sites: Sites, *options: str) -> dict[str, str]:
    """What a plan holds, and why; it does nothing else."""
    plan = sites.cli("plan", "--json", *options).json
    assert [] == plan["steps"]
    return {step["id"]: step["held"] for step in plan["held"]}


def test_what_runs_at_the_other_site_is_held(pipeline: Sites) -> None:
    assert {"VirtualMachine/db": RUNS, "VirtualMachine/web": RUNS} == held(pipeline)
    assert 4 == pipeline.cli("plan", "--detailed-exitcode").code


def test_an_apply_starts_nothing_beside_its_copy(pipeline: Sites) -> None:
    pipeline.cli("apply", "--yes")
    assert ([], ["db", "web"]) == (pipeline.running("east"), pipeline.running("west"))


def test_it_is_held_where_its_journal_is(failed_over: Sites) -> None:
    found = held(failed_over)
    assert {"VirtualMachine/db", "VirtualMachine/web"} == found.keys()
    assert "the recovery plan shop runs at Site/west since" in found["VirtualMachine/db"]


def test_drift_tells_that_it_is_held(pipeline: Sites) -> None:
    found = {
        item["address"]: (item["condition"], item["next"]["held"])
        for item in pipeline.cli("drift", "--json").json["resources"]
        if "next" in item
    }
    assert ("held", RUNS) == found["VirtualMachine/db"]


def test_disks_that_have_become_copies_are_not_made_anew(pipeline: Sites) -> None:
    folder = journals_again(pipeline)
    assert "succeeded" == pipeline("dr", "reprotect", "shop", "--yes")["outcome"]
    shutil.rmtree(folder)
    found = held(pipeline)
    assert f"VirtualMachine/db has it: {RUNS}" == found["Disk/db-data"]
    assert {"Disk/db-data", "Disk/web-root"} <= found.keys()


def test_after_a_failback_there_is_nothing_to_do(failed_over: Sites) -> None:
    assert "succeeded" == failed_over("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "succeeded" == failed_over("dr", "failback", "shop", "--yes")["outcome"]
    assert {} == held(failed_over)
    forget_journals(failed_over.cli.root)
    assert {} == held(failed_over)
