"""Protected resources are held: shown, never carried out, and never in the way of the rest."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

PROTECTED = WEB.replace("VirtualMachine/web", "VirtualMachine/web\nmetadata.protect: true")
OTHER = "Network/other\nmode: isolated\ncidr: 10.1.0.0/24\n"


def test_a_protected_resource_is_not_deleted_and_neither_is_what_it_needs(
    scenario: Scenario,
) -> None:
    scenario.declare(LAN, POOL, DISK, PROTECTED, OTHER)
    scenario.apply()
    assert [
        "(delete Network/lan: VirtualMachine/web, which is held, needs it)",
        "(delete StoragePool/pool: Disk/web-root, which is held, needs it)",
        "(delete VirtualMachine/web: it is protected (metadata.protect))",
        "(forget Disk/web-root: VirtualMachine/web, which is held, needs it)",
        "delete Network/other",
    ] == sorted(outline(scenario.plan_destroy()))


def test_protection_that_was_not_applied_yet_counts(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, PROTECTED)
    plan = scenario.plan_destroy()
    assert "(delete VirtualMachine/web: it is protected (metadata.protect))" in outline(plan)


def test_protection_alone_is_recorded_without_a_step(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, PROTECTED)
    plan = scenario.plan()
    assert ([], ["VirtualMachine/web"]) == (outline(plan), [str(k.address) for k in plan.refresh])
    scenario.apply(plan)
    scenario.declare(LAN, POOL, DISK)
    assert ["(delete VirtualMachine/web: it is protected (metadata.protect))"] == outline(
        scenario.plan()
    )


def test_a_protected_resource_may_be_updated(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, PROTECTED)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, PROTECTED.replace("count: 1", "count: 2"))
    assert ["update VirtualMachine/web"] == outline(scenario.plan())
