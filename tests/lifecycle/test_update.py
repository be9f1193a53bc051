"""An edit becomes a change of that field, in place."""

from provisioner.core.actions import Impact
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB


def test_an_edit_is_one_change_in_place(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    before = scenario.outside.find("VirtualMachine", "web")
    scenario.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 3"))

    plan = scenario.plan()
    assert ["update VirtualMachine/web"] == outline(plan)
    (change,) = plan.steps[0].changes
    assert (("cpu", "count"), 1, 3, Impact.LIVE) == (
        change.path,
        change.before,
        change.after,
        change.impact,
    )
    scenario.apply(plan)

    after = scenario.outside.find("VirtualMachine", "web")
    assert before is not None
    assert after is not None
    assert (before.id, 3) == (after.id, after.spec["cpu"]["count"])
    assert [] == outline(scenario.plan())


def test_a_removed_field_goes_back_to_its_default(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB + "autostart: true\n")
    scenario.apply()
    scenario.declare(*ALL)
    (step,) = scenario.plan().steps
    assert [(("autostart",), True, False)] == [(c.path, c.before, c.after) for c in step.changes]
    scenario.apply()
    assert [] == outline(scenario.plan())


def test_a_field_never_set_is_left_to_others(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("description",), "by hand")
    assert [] == outline(scenario.plan())


def test_an_element_added_by_others_to_a_declared_set_goes(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("nics", "extra"), {"network": "lan"})
    (step,) = scenario.plan().steps
    assert [("nics", "extra")] == [change.path for change in step.changes]
    scenario.apply()
    assert [] == outline(scenario.plan())
