"""Outputs that an endpoint does not tell for a while."""

from typing import Any

import pytest

from tests.unit.engine.made import Situation, declared, ours, outline, recorded

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
