"""Plans as text and as JSON: golden files, and the promises that hold for every plan."""

import json
import re

import pytest

from provisioner.cli.render.plan import render_plan, summary
from provisioner.cli.render.planjson import plan_document
from provisioner.cli.render.text import cells, painted
from provisioner.core.actions import Action, Impact
from provisioner.providers.api import Change
from provisioner.service.schema import Vocabulary
from tests.golden_support import CheckGolden
from tests.unit.cli import plans

VOCABULARY = Vocabulary()


@pytest.mark.parametrize("name", plans.PLANS)
def test_golden_text(name: str, check_golden: CheckGolden) -> None:
    lines = render_plan(plans.PLANS[name](), VOCABULARY)
    check_golden(f"cli/plan-{name}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", plans.PLANS)
def test_golden_json(name: str, check_golden: CheckGolden) -> None:
    document = plan_document(plans.PLANS[name](), VOCABULARY)
    check_golden(f"cli/plan-{name}.json", json.dumps(document, indent=2) + "\n")


@pytest.mark.parametrize("width", [60, 80, 110])
@pytest.mark.parametrize("name", plans.PLANS)
def test_lines_fit(name: str, width: int) -> None:
    lines = render_plan(plans.PLANS[name](), VOCABULARY, width)
    assert [] == [line for line in lines if cells(line) > width]


@pytest.mark.parametrize("name", plans.PLANS)
def test_colours_only_add_escapes(name: str) -> None:
    coloured = "\n".join(render_plan(plans.PLANS[name](), VOCABULARY, 80, painted))
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert "\n".join(render_plan(plans.PLANS[name](), VOCABULARY, 80)) == without


def test_sensitive_values_never_appear() -> None:
    plan = plans.creations()
    texts = ["\n".join(render_plan(plan, VOCABULARY)), json.dumps(plan_document(plan, VOCABULARY))]
    assert [False, False] == ["hunter2" in text for text in texts]
    assert [True, True] == ["(sensitive)" in text for text in texts]


def test_terminal_cannot_be_steered() -> None:
    plan = plans.plan(
        plans.step("Disk/d", Action.CREATE, {"evil": "a\x1b[2Jb", "over\u202eride": "\r\x07x"})
    )
    text = "\n".join(render_plan(plan, VOCABULARY))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r" not in text
    assert "\\u001b[2J" in text


def test_summary_counts_a_replacement_once() -> None:
    assert summary(plans.destruction()) == (
        "Plan: 2 to replace (1 replace, 1 data-loss), 2 to delete (1 live, 1 data-loss);"
        " 1 held; 12 unchanged."
    )


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("one\ntwo", "one\nthree", [" one", "-two", "+three"]),
        ("one\n", "one", [' "one"', '-""']),
        ("one \ntwo", "one\ntwo", ['-"one "', '+"one"', ' "two"']),
    ],
)
def test_lines_of_texts_that_differ(before: str, after: str, shown: list[str]) -> None:
    step = plans.step(
        "VirtualMachine/web",
        Action.UPDATE,
        changes=(Change(("description",), before, after, Impact.NONE),),
    )
    lines = render_plan(plans.plan(step), VOCABULARY)
    start = next(number for number, line in enumerate(lines) if "description" in line)
    assert shown == [line[10:] for line in lines[start + 1 : start + 1 + len(shown)]]
