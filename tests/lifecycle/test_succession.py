"""A successor that is made first: whoever refers to it moves over, and the predecessor stays as
long as somebody needs it.
"""

from typing import Any

import pytest

from provisioner.engine.events import StepKept
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import POOL

LOSE: dict[str, Any] = {"max_impact": "replace", "consents": ("Disk/data",)}
REPLACE: dict[str, Any] = {"max_impact": "replace"}


def disk(form: str) -> str:
    return f"Disk/data\npool: pool\nsize: 1GiB\nformat: {form}\nretention: delete\n"


def image(file: str, form: str = "raw") -> str:
    return f"Image/base\npool: pool\nsource: {{file: {file}}}\nformat: {form}\n"


def clone(name: str, how: str = "linked") -> str:
    return f"Disk/{name}\npool: pool\nimage: base\nclone: {how}\nretention: delete\n"


def machine(*disks: str, more: str = "") -> str:
    attached = ", ".join(f"{{disk: {disk}}}" for disk in disks)
    return f"VirtualMachine/web\nmemory: {{size: 64MiB}}\ndisks: [{attached}]\n{more}"


@pytest.fixture(autouse=True)
def images(scenario: Scenario) -> None:
    for name in ("one.raw", "two.raw", "three.raw"):
        (scenario.root / name).write_bytes(name.encode())


def test_a_machine_moves_over_before_the_predecessor_goes(scenario: Scenario) -> None:
    scenario.declare(POOL, disk("qcow2"), machine("data"))
    scenario.apply()
    scenario.declare(POOL, disk("raw"), machine("data"))
    plan = scenario.plan(**LOSE)
    assert [
        "replace Disk/data",
        "update VirtualMachine/web",
        "delete Disk/data#old",
    ] == outline(plan)
    assert {("disks", "data"), ("disks", "data#0")} == {
        change.path for change in plan.steps[1].changes
    }
    assert "done" == scenario.apply(plan).outcome
    assert [] == outline(scenario.plan())
    assert ["Disk/data", "StoragePool/pool", "VirtualMachine/web"] == scenario.objects()


def test_a_machine_lets_go_of_what_is_replaced(scenario: Scenario) -> None:
    scenario.declare(POOL, disk("qcow2"), machine("data"))
    scenario.apply()
    scenario.declare(POOL, disk("raw"), machine())
    plan = scenario.plan(**LOSE)
    assert {"replace Disk/data", "update VirtualMachine/web", "delete Disk/data#old"} == {
        *outline(plan)
    }
    report = scenario.apply(plan)
    assert ("done", ()) == (report.outcome, report.kept)
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert {} == web.spec["disks"]
    assert ["Disk/data", "StoragePool/pool", "VirtualMachine/web"] == scenario.objects()


def test_a_machine_lets_go_of_what_moves_to_another_host(scenario: Scenario) -> None:
    there = "Host/there\nprovider: memory\n"
    pool = POOL.replace("StoragePool/pool", "StoragePool/away") + "host: there\n"
    on = "placement: {host: here}\n"
    scenario.declare(there, POOL.rstrip() + "\nhost: here\n", disk("raw"), machine("data", more=on))
    scenario.apply()
    moved = disk("raw").replace("pool: pool", "pool: away")
    scenario.declare(there, POOL.rstrip() + "\nhost: here\n", pool, moved, machine(more=on))
    assert "done" == scenario.apply(**LOSE).outcome
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert {} == web.spec["disks"]
    assert ["StoragePool/pool", "VirtualMachine/web"] == scenario.objects()


def test_a_machine_moves_over_to_what_is_called_otherwise(scenario: Scenario) -> None:
    scenario.declare(POOL, disk("qcow2"), machine("data"))
    scenario.apply()
    called = disk("raw").replace("Disk/data", "Disk/fresh\nmetadata.renamedFrom: data")
    scenario.declare(POOL, called, machine("fresh"))
    plan = scenario.plan(max_impact="replace", consents=("Disk/fresh",))
    assert "done" == scenario.apply(plan).outcome
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert ["fresh"] == list(web.spec["disks"])
    assert [] == outline(scenario.plan())


def test_a_drive_gets_the_new_image(scenario: Scenario) -> None:
    drive = machine(more="cdroms: [{name: setup, image: base}]\n")
    scenario.declare(POOL, image("one.raw", "iso"), drive)
    scenario.apply()
    scenario.declare(POOL, image("two.raw", "iso"), drive)
    plan = scenario.plan(**REPLACE)
    (change,) = plan.steps[1].changes
    assert (("cdroms", "setup", "image"), "base#0", "base") == (
        change.path,
        change.before,
        change.after,
    )
    assert "done" == scenario.apply(plan).outcome
    assert [] == outline(scenario.plan())


def test_an_image_stays_while_linked_clones_need_it(scenario: Scenario) -> None:
    scenario.declare(POOL, image("one.raw"), clone("old"))
    scenario.apply()
    scenario.declare(POOL, image("two.raw"), clone("old"))
    report = scenario.apply(**REPLACE)
    assert ("done", ("Image/base#old",)) == (report.outcome, report.kept)
    (event,) = (event for event in scenario.events if isinstance(event, StepKept))
    assert "It is used by Disk old." == event.reason
    plan = scenario.plan()
    assert [] == outline(plan)
    assert [("Image/base#0", "needed by Disk old")] == [
        (str(item.address), item.reason) for item in plan.kept
    ]
    assert 2 == scenario.objects().count("Image/base")
    assert (None, "done") == (scenario.apply().operation, scenario.apply().outcome)


def test_it_goes_in_the_plan_that_takes_the_last_clone_away(scenario: Scenario) -> None:
    scenario.declare(POOL, image("one.raw"), clone("old"))
    scenario.apply()
    scenario.declare(POOL, image("two.raw"), clone("old"), clone("new"))
    scenario.apply(**REPLACE)
    scenario.declare(POOL, image("two.raw"), clone("new"))
    plan = scenario.plan(consents=("Disk/old",))
    assert ["delete Disk/old", "delete Image/base#0"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert ["Disk/new", "Image/base", "StoragePool/pool"] == scenario.objects()


def test_several_generations_stay(scenario: Scenario) -> None:
    scenario.declare(POOL, image("one.raw"), clone("first"))
    scenario.apply()
    scenario.declare(POOL, image("two.raw"), clone("first"), clone("second"))
    scenario.apply(**REPLACE)
    scenario.declare(POOL, image("three.raw"), clone("first"), clone("second"))
    scenario.apply(**REPLACE)
    plan = scenario.plan()
    assert (["Image/base#0", "Image/base#1"], []) == (
        [str(item.address) for item in plan.kept],
        outline(plan),
    )
    scenario.apply(scenario.plan_destroy(consents=("Disk/first", "Disk/second")))
    assert [] == scenario.objects()


def test_a_full_clone_needs_nothing(scenario: Scenario) -> None:
    scenario.declare(POOL, image("one.raw"), clone("copy", "full"))
    scenario.apply()
    scenario.declare(POOL, image("two.raw"), clone("copy", "full"))
    assert () == scenario.apply(**REPLACE).kept
    assert 1 == scenario.objects().count("Image/base")


def test_a_predecessor_that_is_needed_after_all_is_told_by_the_apply(scenario: Scenario) -> None:
    """Somebody else has taken the disk since the plan was made: it stays, and later it goes."""
    scenario.declare(POOL, disk("qcow2"), machine("data"))
    scenario.apply()
    scenario.declare(POOL, disk("raw"), machine("data"))
    plan = scenario.plan(**LOSE)
    old = scenario.outside.find("Disk", "data")
    assert old is not None
    scenario.outside.add(
        "VirtualMachine", "theirs", {"disks": {"data": {}}}, holds={"disks/data": old.id}
    )
    report = scenario.apply(plan)
    assert ("done", ("Disk/data#old",)) == (report.outcome, report.kept)
    assert "needed by VirtualMachine theirs" == scenario.plan().kept[0].reason
    scenario.outside.remove("VirtualMachine", "theirs")
    plan = scenario.plan(**LOSE)
    assert ["delete Disk/data#0"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert 1 == scenario.objects().count("Disk/data")


def renamed(document: str) -> str:
    return document.replace("Image/base", "Image/fresh\nmetadata.renamedFrom: base")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_kept_predecessor_follows_a_rename(scenario: Scenario, at_once: bool) -> None:
    """Also when nothing tells any more that there was a rename."""
    on_fresh = clone("old").replace("image: base", "image: fresh")
    scenario.declare(POOL, image("one.raw"), clone("old"))
    scenario.apply()
    if not at_once:
        scenario.declare(POOL, image("two.raw"), clone("old"))
        scenario.apply(**REPLACE)
    scenario.declare(POOL, renamed(image("two.raw")), on_fresh)
    assert "done" == scenario.apply(**REPLACE).outcome
    scenario.declare(POOL, image("two.raw").replace("base", "fresh"), on_fresh)
    plan = scenario.plan()
    assert ([], ["Image/fresh#0"]) == (outline(plan), [str(item.address) for item in plan.kept])
    scenario.declare(POOL, image("two.raw").replace("base", "fresh"))
    plan = scenario.plan(consents=("Disk/old",))
    assert ["delete Disk/old", "delete Image/fresh#0"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    name = "Image/fresh" if at_once else "Image/base"
    assert [name, "StoragePool/pool"] == scenario.objects()
    assert () == scenario.state().open_intents
