"""Reprotection where it cannot be told which of two machines holds the newest data: nothing is
stopped, marked or overwritten then.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.providers.capabilities import Standby
from provisioner.workflows.recovery.actions import Estate
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.runs import Outcome
from tests.lifecycle.recoveryprogram import Sites
from tests.lifecycle.twosites import TwoSites, trouble
from tests.unit.workflows.recovery.plans import A, B, machine_address, planned

MACHINE = "VirtualMachine"
NEWEST = "order 2, after the failover"


def power(sites: Sites | TwoSites, site: str, state: str, *machines: str) -> None:
    """Somebody starts or stops machines, past every mark."""
    for machine in machines:
        sites.outside(site).change(MACHINE, machine, ("power",), state)


@pytest.fixture
def left_behind(sites: Sites) -> Sites:
    """The journal beside the state says that the machines are at the first site, where they came
    home to. A failover by the stored plan has led them to the second one since. There was a power
    cut at both.
    """
    sites("replicate", "run")
    for verb in ("migrate", "reprotect", "failback", "reprotect"):
        assert "succeeded" == sites("dr", verb, "shop", "--yes")["outcome"]
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    sites.outside("east").power_off()
    stored = ("--from", "shop.plan", "--trusted", "ops.pub")
    assert "succeeded" == sites("dr", "failover", *stored, "--yes")["outcome"]
    sites.outside("west").write("db", NEWEST, "db-data")
    power(sites, "west", "stopped", "db", "web")
    sites.outside("east").come_back()
    return sites


def failed(run: object) -> set[str]:
    """The codes with which tasks of a run failed."""
    assert isinstance(run, dict)
    found = (item.get("diagnostic") for item in run["tasks"])
    return {item["code"] for item in found if item is not None}


def test_a_journal_that_was_left_behind_overwrites_nothing(left_behind: Sites) -> None:
    run = left_behind("dr", "reprotect", "shop", "--yes")
    assert ("in-part", {"PRV7076"}) == (run["outcome"], failed(run))
    assert [NEWEST] == list(left_behind.outside("west").content("db-data").blocks.values())


def test_nor_does_it_stop_the_one_machine_that_was_started_again(left_behind: Sites) -> None:
    power(left_behind, "west", "running", "db")
    run = left_behind("dr", "reprotect", "shop", "--yes")
    assert ("in-part", {"PRV7076"}) == (run["outcome"], failed(run))
    assert (["batch", "db"], []) == (left_behind.running("west"), left_behind.running("east"))


def test_the_way_out_is_to_start_the_newest_ones_and_to_say_where_they_run(
    left_behind: Sites,
) -> None:
    done = left_behind.cli("dr", "reprotect", "shop", "--yes")
    assert "provisioner dr reprotect shop --running-at west" in map(str.strip, done.err.split("\n"))
    power(left_behind, "west", "running", "db", "web")
    run = left_behind("dr", "reprotect", "shop", "--running-at", "west", "--yes")
    assert "succeeded" == run["outcome"]
    (replica,) = (
        item
        for item in left_behind.outside("east").objects()
        if (item.kind, item.name) == ("Replica", "db")
    )
    assert NEWEST in json.dumps(replica.spec["points"][-1]["disks"])


@pytest.fixture
def two(tmp_path: Path) -> TwoSites:
    found = TwoSites(tmp_path, [planned("db")])
    found.replicate()
    return found


def test_after_a_power_cut_at_both_sites_the_newest_is_started_first(two: TwoSites) -> None:
    two.outside(A).power_off()
    two.run(Mode.FAILOVER)
    power(two, B, "stopped", "db")
    two.outside(A).come_back()
    two.turn()
    run = two.run(Mode.REPROTECT)
    assert {"yield/db": "PRV7076"} == trouble(run)
    told = run.tasks["yield/db"].diagnostic
    assert told is not None
    assert "on host-b at site-b, where it should be by now, it is stopped" in told.detail
    power(two, B, "running", "db")
    assert Outcome.SUCCEEDED is two.resume(Mode.REPROTECT).record.outcome


def test_a_former_machine_that_stands_by_gives_way_to_one_that_is_off(two: TwoSites) -> None:
    two.run(Mode.MIGRATE)
    power(two, B, "stopped", "db")
    two.turn()
    assert Outcome.SUCCEEDED is two.run(Mode.REPROTECT).record.outcome


def test_a_machine_that_is_taken_over_again_before_its_disks_are_used_keeps_them(
    two: TwoSites,
) -> None:
    def come_between() -> None:
        """The machine dies, and somebody takes the former one back in."""
        power(two, B, "stopped", "db")
        with two.sessions() as sessions:
            former = Estate(two.plan, sessions).placed(machine_address("db"), A)
            session = sessions.get(former.record)
            assert isinstance(session, Standby)
            session.take_over(former.resource, two.deadline())

    two.run(Mode.MIGRATE)
    two.turn()
    two.before["seed"] = come_between
    before = two.objects(A)
    assert {"seed/db": "PRV7076"} == trouble(two.run(Mode.REPROTECT))
    assert before == two.objects(A)
