"""Outputs that an endpoint does not tell for a while, and those that do not fit."""

from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError
from tests.unit.engine.made import (
    MadeKind,
    MadeRules,
    Situation,
    declared,
    ours,
    outline,
    recorded,
)
from tests.unit.engine.world import World, declare

ADDRESS = {"$unknown": "Vm/db:address"}
WEB = "at 10.0.0.5:80"


def web(seed: Any, *, told: bool) -> list[str]:
    """The steps for a machine whose seed names another one's address, which was 10.0.0.5."""
    outputs = {"address": "10.0.0.5"} if told else {}
    return outline(
        Situation(
            (declared("Vm/db"), declared("Vm/web", {"seed": {"text": seed}}, "Vm/db:address")),
            (recorded("Vm/db"), recorded("Vm/web", {"seed": {"text": WEB}}, "Vm/db")),
            {
                "Vm/db": ours("Vm/db", outputs=outputs),
                "Vm/web": ours("Vm/web", {"seed": {"text": WEB}}),
            },
        ).plan()
    )


@pytest.mark.parametrize("told", [True, False])
def test_a_text_around_an_output_stays_as_it_was_recorded(told: bool) -> None:
    assert [] == web({"$template": ["at ", ADDRESS, ":80"]}, told=told)


def test_a_text_that_changes_around_an_output_is_a_change() -> None:
    assert ["update Vm/web"] == web({"$template": ["at ", ADDRESS, ":81"]}, told=True)


NUMBER = {"Vm": MadeKind(numbers=frozenset({("cpu",)}))}
COUNTS = declared("Vm/web", {"cpu": {"$unknown": "Vm/db:count"}}, "Vm/db:count")


@pytest.mark.parametrize(("count", "steps"), [(4, ["update Vm/web"]), (2, [])])
def test_a_value_that_fits_is_put_in(count: int, steps: list[str]) -> None:
    assert steps == outline(counting(count).plan())


def test_a_value_that_does_not_fit_is_refused_by_the_plan() -> None:
    with pytest.raises(ProvisionerError) as refused:
        counting("many").plan()
    (found,) = refused.value.diagnostics
    assert ("PRV2015", "Vm/web", "made.yaml:1:1") == (found.code, found.address, str(found.source))
    assert "the value of ${Vm/db.count} does not fit cpu" == found.summary
    assert "Found 'many', expected a whole number." == found.detail


def counting(count: Any) -> Situation:
    """A machine that has as many processors as another one tells."""
    return Situation(
        (declared("Vm/db"), COUNTS),
        (recorded("Vm/db"), recorded("Vm/web", {"cpu": 2}, "Vm/db")),
        {"Vm/db": ours("Vm/db", outputs={"count": count}), "Vm/web": ours("Vm/web", {"cpu": 2})},
        rules=MadeRules(NUMBER),
    )


def test_a_value_that_does_not_fit_ends_the_step_before_it_begins(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rules = MadeRules({"VirtualMachine": NUMBER["Vm"]})
    wants = {"memory": 1, "cpu": {"$unknown": "VirtualMachine/db:uuid"}}
    report = world.apply(
        world.plan(
            declare("VirtualMachine/db", {"memory": 1}),
            declare("VirtualMachine/web", wants, "VirtualMachine/db:uuid"),
        )
    )
    assert ["PRV2015"] == [problem.code for problem in report.problems]
    assert ["create VirtualMachine/db"] == world.calls
