"""Disks outlive their declaration unless their loss is declared and consented to."""

import pytest

from provisioner.core.actions import Impact
from provisioner.engine.verify import RefusedPlan
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, THROWAWAY_DISK, WEB

IMAGE = """
Image/base
pool: pool
source: {file: base.qcow2}
format: qcow2
"""


def test_a_kept_disk_is_forgotten(scenario: Scenario) -> None:
    scenario.declare(POOL, DISK)
    scenario.apply()
    scenario.declare(POOL)
    assert ["forget Disk/web-root"] == outline(scenario.plan())
    scenario.apply()
    assert ["Disk/web-root", "StoragePool/pool"] == scenario.objects()
    assert [] == outline(scenario.plan())


def test_deleting_data_needs_its_address(scenario: Scenario) -> None:
    scenario.declare(POOL, THROWAWAY_DISK)
    scenario.apply()
    scenario.declare(POOL)
    plan = scenario.plan(max_impact="data-loss")
    assert [("delete Disk/web-root", Impact.DATA_LOSS)] == [
        (f"{s.action.value} {s.id}", s.impact) for s in plan.steps
    ]
    with pytest.raises(RefusedPlan) as caught:
        scenario.apply(plan)
    assert ["Allow it with --allow-data-loss Disk/web-root."] == [
        p.hint for p in caught.value.diagnostics
    ]
    scenario.apply(consents=["Disk/web-root"])
    assert ["StoragePool/pool"] == scenario.objects()


def test_a_kept_disk_keeps_the_image_it_is_based_on(scenario: Scenario) -> None:
    (scenario.root / "base.qcow2").write_bytes(b"x")
    scenario.declare(POOL, IMAGE, DISK + "image: base\n")
    scenario.apply()
    plan = scenario.plan_destroy()
    assert "forget Image/base" in outline(plan)
    assert ["Disk/web-root, whose data is kept, needs it"] == [
        step.reason for step in plan.steps if step.id == "Image/base"
    ]


def test_destroy_keeps_data(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    report = scenario.apply(scenario.plan_destroy())
    assert "done" == report.outcome
    assert ["Disk/web-root"] == scenario.objects()
    assert {} == dict(scenario.state().entries)


def test_a_kept_disk_that_was_renamed_comes_back(scenario: Scenario) -> None:
    """Also after its record is gone, and with it what it was called on the endpoint."""
    scenario.declare(POOL, DISK)
    scenario.apply()
    renamed = DISK.replace("Disk/web-root", "Disk/data\nmetadata.renamedFrom: web-root")
    scenario.declare(POOL, renamed)
    scenario.apply()
    before = scenario.outside.find("Disk", "web-root")
    scenario.declare(POOL)
    assert ["forget Disk/data"] == outline(scenario.plan())
    scenario.apply()
    scenario.declare(POOL, renamed)
    assert ["adopt Disk/data"] == outline(scenario.plan())
    scenario.apply()
    after = scenario.outside.find("Disk", "web-root")
    assert before is not None
    assert after is not None
    assert (before.id, 2) == (after.id, len(scenario.objects()))
    assert [] == outline(scenario.plan())


def test_a_former_name_that_another_has_is_not_asked_for(scenario: Scenario) -> None:
    scenario.declare(POOL, DISK)
    scenario.apply()
    scenario.declare(
        POOL, DISK.replace("Disk/web-root", "Disk/data\nmetadata.renamedFrom: web-root")
    )
    scenario.apply()
    scenario.declare(
        POOL,
        DISK.replace("Disk/web-root", "Disk/data"),
        DISK.replace("Disk/web-root", "Disk/other\nmetadata.renamedFrom: web-root"),
    )
    assert ["create Disk/other"] == outline(scenario.plan())
