"""What cannot be changed in place is replaced, with consent, in the order that names allow."""

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.verify import RefusedPlan
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import POOL

MOVED = POOL.replace("/srv/pool", "/srv/other")


def test_a_replacement_needs_permission(scenario: Scenario) -> None:
    scenario.declare(POOL)
    scenario.apply()
    scenario.declare(MOVED)
    with pytest.raises(RefusedPlan):
        scenario.apply()
    pool = scenario.outside.find("StoragePool", "pool")
    assert pool is not None
    assert "/srv/pool" == pool.spec["path"]


def test_unique_names_delete_first(scenario: Scenario) -> None:
    scenario.declare(POOL)
    scenario.apply()
    scenario.declare(MOVED)
    plan = scenario.plan(max_impact="replace")
    assert ["replace StoragePool/pool"] == outline(plan)
    assert "delete-first" == plan.steps[0].replace_order
    assert "done" == scenario.apply(plan).outcome
    pool = scenario.outside.find("StoragePool", "pool")
    assert pool is not None
    assert "/srv/other" == pool.spec["path"]
    assert [] == outline(scenario.plan())


def test_creating_first_is_refused_where_names_forbid_it(scenario: Scenario) -> None:
    scenario.declare(POOL)
    scenario.apply()
    scenario.declare(
        MOVED.replace("StoragePool/pool", "StoragePool/pool\nmetadata.replace: create-first")
    )
    with pytest.raises(ProvisionerError) as caught:
        scenario.plan(max_impact="replace")
    assert ["PRV2012"] == [problem.code for problem in caught.value.diagnostics]
