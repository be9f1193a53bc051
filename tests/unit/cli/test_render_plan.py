"""Plans as text and as JSON: golden files, and the promises that hold for every plan."""

import json
import re
import shlex

import pytest

from provisioner.cli.render.gate import consents
from provisioner.cli.render.plan import render_plan, render_refusal, summary
from provisioner.cli.render.planjson import plan_document
from provisioner.cli.render.text import cells, painted
from provisioner.core.actions import Action, Impact
from provisioner.core.diagnostics import warning
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


LOSS = Impact.DATA_LOSS
LOSSES = plans.plan(
    *(plans.step(f"Disk/disk-number-{n}", Action.DELETE, impact=LOSS) for n in range(4)),
    plans.step("VirtualMachine/vm", Action.DELETE, impact=Impact.REPLACE),
)


def test_a_key_cannot_begin_a_line() -> None:
    path = ("metaData", "a\n\nPlan: Nothing to do")
    change = Change(path, "x", "y", Impact.LIVE)
    plan = plans.plan(
        plans.step("Disk/d", Action.CREATE, {"metaData": {path[1]: "x"}}),
        plans.step("Disk/e", Action.UPDATE, changes=(change,)),
    )
    shown = [line for line in render_plan(plan, VOCABULARY) if "Nothing to do" in line]
    name = r"metaData[a\n\nPlan: Nothing to do]"
    assert [f"        {name}  x", f"        {name}  x -> y  [live]"] == shown


def test_a_refusal_gives_one_command_that_is_allowed() -> None:
    typed = ["provisioner", "destroy", "my stack"]
    lines = render_refusal(LOSSES, typed)
    assert [] == [line for line in lines if cells(line) > 80]
    command = "\n".join(lines[2:]).replace("\\\n", " ")
    allowed = [f"--allow-data-loss=Disk/disk-number-{n}" for n in range(4)]
    words = shlex.split(command)
    assert [*typed, "--max-impact", "replace"] == words[:5]
    assert allowed == [f"{a}={b}" for a, b in zip(words[5::2], words[6::2], strict=True)]


def test_a_refusal_of_very_many_steps_stays_short_and_names_every_option() -> None:
    steps = [plans.step(f"Disk/d{n}", Action.DELETE, impact=LOSS) for n in range(500)]
    machine = plans.step("VirtualMachine/vm", Action.DELETE, impact=Impact.REPLACE)
    lines = render_refusal(plans.plan(*steps, machine), ["provisioner", "destroy"])
    assert [
        "Refused: 501 steps beyond what is allowed",
        "To allow all of them, pass --max-impact replace, and --allow-data-loss for",
        "each of Disk/d0, Disk/d1, Disk/d2, Disk/d3, Disk/d4 and 495 more.",
    ] == [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("typed", "allowed"),
    [
        ("plan", "plan --max-impact replace --allow-data-loss Disk/d2 --allow-data-loss Disk/d10"),
        (
            "plan --max-impact restart --adopt Disk/* -o p",
            "plan --adopt Disk/* -o p --max-impact replace --allow-data-loss Disk/d2"
            " --allow-data-loss Disk/d10",
        ),
        (
            "plan --max-impact=none --allow-data-loss Disk/old -- -shop",
            "plan --allow-data-loss Disk/old --max-impact replace --allow-data-loss Disk/d2"
            " --allow-data-loss Disk/d10 -- -shop",
        ),
    ],
)
def test_what_allows_takes_the_place_of_what_was_typed(typed: str, allowed: str) -> None:
    losing = (plans.step(f"Disk/d{n}", Action.DELETE, impact=LOSS) for n in (10, 2))
    machine = plans.step("VirtualMachine/vm", Action.DELETE, impact=Impact.REPLACE)
    assert allowed.split() == consents(plans.plan(*losing, machine)).added_to(typed.split())


def test_a_refused_step_is_described_once() -> None:
    text = "\n".join(render_plan(LOSSES, VOCABULARY, command=["provisioner", "destroy"]))
    assert 2 == text.count("Disk/disk-number-1"), text


def test_a_step_of_which_everything_waits_is_not_called_live() -> None:
    lines = render_plan(plans.deferred(), VOCABULARY)
    assert "  ~ update  VirtualMachine/db01  [waits for a restart]" in lines
    assert "[live]" not in "\n".join(lines)
    assert "--max-impact restart" in "\n".join(lines[-2:])


def test_a_plan_without_waiting_says_nothing_of_it() -> None:
    assert "restart" not in "\n".join(render_plan(plans.nothing(), VOCABULARY))


def test_values_line_up_whatever_is_among_the_keys() -> None:
    spec = {"short": 1, "labels": {"k" * 50: "v", "other": "w"}}
    lines = render_plan(plans.plan(plans.step("Disk/d", Action.CREATE, spec)), VOCABULARY)
    columns = {line.rindex("  ") for line in lines if re.match(r" {8}\S+ +\S+$", line)}
    assert 1 == len(columns)


def test_all_counts_of_the_summary_are_written_alike() -> None:
    steps = [plans.step(f"Disk/d{n}", Action.DELETE, impact=LOSS) for n in range(1_000)]
    unclear = tuple([warning("PRV1901", "w")] * 1_000)
    assert (
        "Plan: 1,000 to delete (1,000 data-loss); 1,000 not determined; 1,000 unchanged."
        == summary(plans.plan(*steps, undetermined=unclear, unchanged=1_000))
    )


def test_what_waits_is_said_beside_what_does_not() -> None:
    changes = (
        Change(("memory", "size"), 1, 2, Impact.LIVE),
        Change(("firmware", "type"), "bios", "uefi", Impact.RESTART),
    )
    step = plans.step(
        "VirtualMachine/db",
        Action.UPDATE,
        impact=Impact.LIVE,
        changes=changes,
        deferred=(("firmware", "type"),),
    )
    lines = render_plan(plans.plan(step), VOCABULARY)
    assert "  ~ update  VirtualMachine/db  [live]  [1 field waits for a restart]" in lines


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
