"""Plans in Terraform's form: what policy tools read, and GitLab's counts."""

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provisioner.cli.render.terraform import gitlab_counts, terraform_document
from provisioner.core.actions import Action, Impact
from provisioner.core.address import NAME_PATTERN
from provisioner.engine.plan import Plan, Step
from provisioner.providers.api import Change
from provisioner.service.schema import Vocabulary
from tests.golden_support import CheckGolden
from tests.unit.cli import plans

VOCABULARY = Vocabulary()
ACTIONS = {"no-op", "create", "read", "update", "delete", "forget"}


def changes(plan: Plan) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = terraform_document(plan, VOCABULARY)["resource_changes"]
    return found


def change(step: Step) -> dict[str, Any]:
    (found,) = changes(plans.plan(step))
    result: dict[str, Any] = found["change"]
    return result


@pytest.mark.parametrize("name", plans.PLANS)
def test_golden(name: str, check_golden: CheckGolden) -> None:
    document = terraform_document(plans.PLANS[name](), VOCABULARY)
    check_golden(f"cli/plan-{name}.terraform.json", json.dumps(document, indent=2) + "\n")


@pytest.mark.parametrize("name", plans.PLANS)
def test_it_has_what_the_format_asks_for(name: str) -> None:
    plan = plans.PLANS[name]()
    assert "1" == terraform_document(plan, VOCABULARY)["format_version"].partition(".")[0]
    for item in changes(plan):
        assert {"address", "mode", "type", "name", "provider_name", "change"} <= item.keys()
        assert item["address"] == f"{item['type']}.{item['name']}"
        assert set(item["change"]["actions"]) <= ACTIONS
        sides = {"before", "after", "after_unknown", "before_sensitive", "after_sensitive"}
        assert sides <= item["change"].keys()


def test_a_change_has_both_sides() -> None:
    step = plans.step(
        "VirtualMachine/web",
        Action.UPDATE,
        {"cpu": {"count": 2}, "autostart": True},
        changes=(
            Change(("cpu", "count"), 1, 2),
            Change(("description",), "old", None),
            Change(("autostart",), None, after=True),
        ),
    )
    found = change(step)
    assert {"cpu": {"count": 1}, "description": "old"} == found["before"]
    assert {"cpu": {"count": 2}, "autostart": True} == found["after"]


def test_what_is_not_known_yet_is_marked_and_left_out() -> None:
    output = {"$unknown": "Network/lan:bridge"}
    spec = {
        "boot": {"cmdline": {"$template": ["on ", output]}, "kernel": "k"},
        "list": [output, "x"],
        "bridge": output,
    }
    found = change(plans.step("VirtualMachine/web", Action.CREATE, spec))
    assert {"boot": {"kernel": "k"}} == found["after"]
    assert {"boot": {"cmdline": True}, "list": True, "bridge": True} == found["after_unknown"]


def test_sensitive_values_are_masked_and_marked() -> None:
    spec = {"cloudInit": {"userData": "hunter2"}, "autostart": True}
    before = Change(("cloudInit", "userData"), "hunter1", "hunter2")
    found = change(plans.step("VirtualMachine/web", Action.UPDATE, spec, changes=(before,)))
    assert "hunter" not in json.dumps(found)
    marks = {"cloudInit": {"userData": True}}
    assert (marks, marks) == (found["before_sensitive"], found["after_sensitive"])
    assert "(sensitive)" == found["after"]["cloudInit"]["userData"]


@pytest.mark.parametrize(
    ("action", "order", "actions"),
    [
        (Action.CREATE, None, ["create"]),
        (Action.UPDATE, None, ["update"]),
        (Action.REPLACE, "delete-first", ["delete", "create"]),
        (Action.REPLACE, "create-first", ["create", "delete"]),
        (Action.DELETE, None, ["delete"]),
        (Action.FORGET, None, ["forget"]),
        (Action.ADOPT, None, ["no-op"]),
        (Action.RENAME, None, ["no-op"]),
    ],
)
def test_actions_are_terraforms(action: Action, order: str | None, actions: list[str]) -> None:
    assert actions == change(plans.step("Disk/d", action, replace_order=order))["actions"]


def test_adoption_and_renaming_have_terraforms_words() -> None:
    adopted, renamed = changes(
        plans.plan(
            plans.step("Disk/found", Action.ADOPT),
            plans.step("Disk/new", Action.RENAME, previous=plans.known("Disk/old")),
        )
    )
    assert {"id": "found"} == adopted["change"]["importing"]
    assert "provisioner_disk.old" == renamed["previous_address"]


def test_what_an_earlier_generation_left_is_deposed() -> None:
    step = plans.step("Disk/d", Action.DELETE, impact=Impact.DATA_LOSS)
    known = replace(step.known, address=step.address._replace(name="d#3"))
    (found,) = changes(plans.plan(replace(step, id="Disk/d#3", known=known)))
    assert ("provisioner_disk.d", "3") == (found["address"], found["deposed"])


@given(st.lists(st.from_regex(NAME_PATTERN, fullmatch=True), min_size=2, max_size=2, unique=True))
@example(["restart.example-1", "restart-example-1"])
@example(["2new", "new"])
@example(["a..b", "a.b"])
def test_addresses_are_terraforms_and_each_resource_has_its_own(names: list[str]) -> None:
    steps = [plans.step(f"VirtualMachine/{name}", Action.CREATE) for name in names]
    found = changes(plans.plan(*steps))
    texts = [item["address"] for item in found]
    assert [] == [text for text in texts if not re.fullmatch(r"[a-z_]+\.[a-z_][a-z0-9_-]*", text)]
    assert 2 == len(set(texts))
    ours = [item["provisioner"]["address"] for item in found]
    assert [f"VirtualMachine/{name}" for name in names] == ours


def test_it_says_which_fields_wait() -> None:
    step = plans.step(
        "VirtualMachine/db",
        Action.UPDATE,
        impact=Impact.LIVE,
        changes=(
            Change(("memory", "size"), 1, 2, Impact.LIVE),
            Change(("firmware", "type"), "bios", "uefi", Impact.RESTART),
        ),
        deferred=(("firmware", "type"),),
    )
    (found,) = changes(plans.plan(step))
    ours = found["provisioner"]
    assert ("live", [["firmware", "type"]]) == (ours["impact"], ours["deferred"])


def test_a_second_half_is_no_change_of_its_own() -> None:
    found = [item["provisioner"]["address"] for item in changes(plans.destruction())]
    assert 1 == found.count("VirtualMachine/web02")


def test_what_is_held_is_no_change() -> None:
    document = terraform_document(plans.destruction(), VOCABULARY)
    assert ["VirtualMachine/vault"] == document["provisioner"]["held"]
    assert "provisioner_virtual_machine.vault" not in {
        c["address"] for c in document["resource_changes"]
    }
    assert (False, False) == (document["applyable"], document["complete"])


@pytest.mark.parametrize("name", plans.PLANS)
def test_gitlab_counts_as_its_recipe_does(name: str) -> None:
    """jq: all words of ``resource_changes[].change.actions``, counted."""
    plan = plans.PLANS[name]()
    words = Counter(word for item in changes(plan) for word in item["change"]["actions"])
    assert {word: words[word] for word in ("create", "update", "delete")} == gitlab_counts(plan)


def test_a_replacement_counts_twice_in_gitlab() -> None:
    steps = [
        plans.step("Disk/made", Action.CREATE),
        plans.step("Disk/again", Action.REPLACE, replace_order="delete-first"),
        plans.step("Disk/found", Action.ADOPT),
        plans.step("Disk/left", Action.FORGET),
    ]
    assert {"create": 2, "update": 0, "delete": 1} == gitlab_counts(plans.plan(*steps))
