"""What an interrupted run leaves: it is looked at, nothing of it is lost, and nothing else goes."""

from dataclasses import replace

import pytest

from provisioner.core.address import Address
from provisioner.engine.verify import RefusedPlan, check_gate
from tests.unit.engine.made import Situation, declared, intent, ours, outline, recorded


def test_a_refresh_that_was_not_settled_is_about_nothing() -> None:
    unsettled = replace(intent("Net/n", "refresh"), detail={})
    assert [] == outline(
        Situation(
            (declared("Net/n"),), (recorded("Net/n"),), {"Net/n": ours("Net/n")}, (unsettled,)
        ).plan()
    )


def test_a_predecessor_that_is_gone_is_not_mistaken_for_its_successor() -> None:
    successor = ours("Disk/d", generation=1)
    plan = Situation(
        (declared("Disk/d"),),
        (recorded("Disk/d", generation=1),),
        {"Disk/d": successor, "Disk/d#0": successor},
        (intent("Disk/d", "delete"),),
    ).plan()
    assert [] == outline(plan)


def test_consent_to_losing_a_resource_covers_its_retired_generation() -> None:
    situation = Situation(
        (declared("Disk/d"),),
        (recorded("Disk/d", generation=1),),
        {"Disk/d": ours("Disk/d", generation=1), "Disk/d#0": ours("Disk/d")},
        (intent("Disk/d", "delete"),),
    )
    plan = situation.plan()
    assert ["delete Disk/d#0"] == outline(plan)
    assert 1 == len(plan.refused)
    assert () == situation.plan(consents=(Address("Disk", "d"),)).refused
    with pytest.raises(RefusedPlan) as caught:
        check_gate(plan)
    assert ["Allow it with --allow-data-loss Disk/d."] == [
        problem.hint for problem in caught.value.diagnostics
    ]
