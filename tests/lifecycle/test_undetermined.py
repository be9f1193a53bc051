"""What cannot be observed is never planned for; where the plan itself may change that, the rest of
it goes on.
"""

import pytest

from provisioner.core.diagnostics import ProvisionerError
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL

POOL_EDITED = POOL + "autostart: false\n"
WEB = "VirtualMachine/web\nmemory: {size: 64MiB}\ndisks: [{disk: web-root}]\n"
FAULT = {"call": "observe", "address": "Disk/web-root", "effect": "undetermined", "times": 1}


def blind(scenario: Scenario) -> None:
    """The next observation does not find out about the disk."""
    scenario.provider.faults("here").add(FAULT)


def test_alone_it_is_an_error(scenario: Scenario) -> None:
    scenario.declare(POOL, DISK)
    scenario.apply()
    blind(scenario)
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan()
    assert ["Disk/web-root"] == [problem.address for problem in caught.value.diagnostics]


def test_the_rest_of_the_plan_goes_on_where_it_may_help(scenario: Scenario) -> None:
    scenario.declare(POOL, DISK)
    scenario.apply()
    scenario.declare(LAN, POOL_EDITED, DISK, WEB)
    blind(scenario)
    plan = scenario.plan()
    assert [
        "create Network/lan",
        "update StoragePool/pool",
        "(create VirtualMachine/web: it needs Disk/web-root, which is not determined)",
    ] == outline(plan)
    assert ["Disk/web-root"] == [problem.address for problem in plan.undetermined]
    report = scenario.apply(plan)
    assert ("done", ("VirtualMachine/web", "Disk/web-root")) == (report.outcome, report.held)
    assert ["create VirtualMachine/web"] == outline(scenario.plan())


def test_what_it_stands_on_is_not_taken_away(scenario: Scenario) -> None:
    scenario.declare(POOL, DISK)
    scenario.apply()
    scenario.declare(POOL.replace("/srv/pool", "/srv/other"), DISK)
    blind(scenario)
    plan = scenario.plan(max_impact="replace")
    assert [
        "(replace StoragePool/pool: Disk/web-root lives in it: move or remove that first)"
    ] == outline(plan)
