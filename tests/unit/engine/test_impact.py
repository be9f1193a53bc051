"""The impact that a reader sees is that of all that is done, judged on what is known."""

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from tests.unit.engine.made import MadeProvider, Situation, declared, ours, outline, recorded


def test_a_disk_that_moves_to_another_host_loses_its_data() -> None:
    situation = Situation(
        (declared("Disk/d", host="there"),), (recorded("Disk/d"),), {"Disk/d": ours("Disk/d")}
    )
    plan = situation.plan(max_impact=Impact.REPLACE)
    assert ["replace Disk/d", "delete Disk/d#old"] == outline(plan)
    assert [Impact.DATA_LOSS, Impact.DATA_LOSS] == [step.impact for step in plan.steps]
    assert 2 == len(plan.refused)
    assert () == situation.plan(consents=(Address("Disk", "d"),)).refused


def test_a_disk_that_is_replaced_for_less_loses_its_data_all_the_same() -> None:
    plan = Situation(
        (declared("Disk/d", {"alias": "b"}),),
        (recorded("Disk/d", {"alias": "a"}),),
        {"Disk/d": ours("Disk/d", {"alias": "a"})},
    ).plan(max_impact=Impact.REPLACE)
    assert 2 == len(plan.refused)


def test_outputs_that_are_known_are_put_in_before_an_impact_is_judged() -> None:
    provider = MadeProvider()
    Situation(
        (
            declared("Net/n"),
            declared("Vm/v", {"bridge": {"$unknown": "Net/n:bridge"}}, "Net/n:bridge"),
        ),
        (recorded("Net/n"), recorded("Vm/v", {"bridge": "br0"}, "Net/n")),
        {
            "Net/n": ours("Net/n", outputs={"bridge": "br1"}),
            "Vm/v": ours("Vm/v", {"bridge": "br0"}),
        },
        provider=provider,
    ).plan()
    assert [{"bridge": "br1"}] == [resource.spec for resource in provider.judged]
