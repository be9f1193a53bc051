"""``--trust-site``: planning and applying while a whole site gives no answer."""

from __future__ import annotations

from provisioner_plugins.memory.outside import Outside
from tests.lifecycle.recovery import RESOURCES, declare
from tests.lifecycle.recoveryprogram import PLAN, Sites


def contents(outside: Outside) -> dict[str, object]:
    """What is there of machines, disks and replicas, by kind and name."""
    return {f"{item.kind}/{item.name}": item.spec for item in outside.objects()}


def test_what_is_on_a_silent_site_that_is_trusted_is_held_and_the_rest_is_done(
    sites: Sites,
) -> None:
    db = f"{RESOURCES['VirtualMachine/db']}\npower: running"
    declare(sites.cli, {"RecoveryPlan/shop": PLAN, "VirtualMachine/db": db})
    sites.outside("east").change("VirtualMachine", "db", ("power",), "stopped")
    sites.outside("west").power_off()
    assert 1 == sites.cli("plan").code
    done = sites.cli("apply", "--yes", "--trust-site", "west")
    said = " ".join(done.out.split())
    assert "VirtualMachine/batch: its host is off, as somebody said" in said
    assert ["db", "web"] == sites.running("east"), done.err


def test_no_empty_disk_is_made_beside_a_replica_on_somebodys_word(sites: Sites) -> None:
    sites("replicate", "run")
    for verb in ("migrate", "reprotect"):
        assert "succeeded" == sites("dr", verb, "shop", "--yes")["outcome"]
    before = contents(sites.outside("east"))
    assert "Disk/db-data" not in before
    sites.outside("west").power_off()
    done = sites.cli("apply", "--yes", "--trust-site", "west")
    said = " ".join(done.out.split())
    assert "Disk/db-data is not here, and would be made empty" in said
    assert "'provisioner dr failover shop'" in said
    assert before == contents(sites.outside("east"))
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    assert ["db", "web"] == sites.running("east")


def test_reasons_for_what_is_held_name_the_commands_with_the_plan(sites: Sites) -> None:
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    db = RESOURCES["VirtualMachine/db"].replace("1GiB", "2GiB")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN, "VirtualMachine/db": db})
    said = " ".join(sites.cli("plan").out.split())
    assert "bring it back with 'provisioner dr failback shop'" in said
