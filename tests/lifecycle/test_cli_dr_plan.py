"""``provisioner dr plan``: what would be done now, when, and what differs from earlier runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import declare, two_running_sites
from tests.lifecycle.results import misfits

PLAN = """\
groups: [{group: shop}]
machines: [{machine: db, tier: 1}, {machine: web, tier: 2, after: [{machine: db}]}]
fencing: [{command: {argv: ['true']}, timeout: 1m}]
recoveryTimeObjective: 30m"""


@pytest.fixture
def sites(cli: CommandLine) -> CommandLine:
    two_running_sites(cli, {"RecoveryPlan/shop": PLAN})
    return cli


def planned(cli: CommandLine, *arguments: str) -> Any:
    done = cli("dr", "plan", *arguments, "--json")
    assert (0, []) == (done.code, done.codes)
    assert [] == misfits("recovery-outlook", done.json)
    return done.json


def changes(since: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(item["kind"], item["task"]) for item in since["differences"]]


def test_without_history_times_are_assumed_and_said_to_be(sites: CommandLine) -> None:
    found = planned(sites, "shop", "failover")
    assert ("east", "west", []) == (found["from"], found["to"], found["since"])
    assert {"assumed", "instant"} == {step["basis"] for step in found["steps"]}
    assert found["assumed"] < len(found["steps"])
    text = sites("dr", "plan", "shop", "failover").out
    assert "There is no history yet: 1 s is assumed of each" in text
    told = " ".join(text.split())
    assert "the recovery time objective of 30 min cannot be told: no step of it was" in told
    assert "Up to" not in told
    assert [] == [line for line in text.splitlines() if len(line) > 80]


def test_after_a_drill_times_are_its_own_and_what_changed_since_is_told(
    sites: CommandLine,
) -> None:
    sites("replicate", "run")
    assert 0 == sites("dr", "test", "shop").code
    found = planned(sites, "shop", "test")
    assert ({"task", "instant"}, 0) == (
        {step["basis"] for step in found["steps"]},
        found["assumed"],
    )
    (since,) = found["since"]
    assert (True, True, []) == (since["samePlan"], since["same"], changes(since))
    declare(sites, {"RecoveryPlan/shop": f"{PLAN}\n{STEP}"})
    (since,) = planned(sites, "shop", "test")["since"]
    assert not since["samePlan"]
    assert [("added", "step/tell"), ("changed", "start/web")] == sorted(changes(since))
    # What a drill has measured tells of a failover; which is compared by what a drill does.
    found = planned(sites, "shop", "failover")
    assert "task" == next(step["basis"] for step in found["steps"] if step["id"] == "start/web")
    assert ["test"] == [item["run"]["mode"] for item in found["since"]]
    assert "+ tell (added)" in sites("dr", "plan", "shop", "failover").out


STEP = """\
steps: [{name: tell, when: before, machine: web, modes: [test], command: {argv: ['true']}}]"""


def test_the_way_back_is_planned_where_the_machines_are_away(sites: CommandLine) -> None:
    assert ["PRV7090"] == sites("dr", "plan", "shop", "failback", "--json").codes
    assert ["PRV7091"] == sites("dr", "plan", "shop", "reprotect", "--json").codes
    sites("replicate", "run")
    assert 0 == sites("dr", "migrate", "shop", "--yes").code
    found = planned(sites, "shop", "failback")
    assert ("west", "east") == (found["from"], found["to"])
    assert ["the last migration"] == [item["what"] for item in found["since"]]
    assert 0 == len(planned(sites, "shop", "reprotect")["since"])


def test_from_a_signed_file(sites: CommandLine) -> None:
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    found = planned(sites, "migrate", "--from", "shop.dr", "--trusted", "ops.pub")
    assert ("shop", "migrate") == (found["plan"], found["mode"])


@pytest.mark.parametrize("arguments", [["shop"], ["shop", "mail", "test"]])
def test_what_is_not_understood_is_said(cli: CommandLine, arguments: list[str]) -> None:
    done = cli("dr", "plan", *arguments, "--json")
    assert (1, ["PRV6001"]) == (done.code, done.codes)


def test_where_there_is_no_plan_none_is_taken(cli: CommandLine) -> None:
    done = cli("dr", "plan", "test", "--json")
    assert (1, ["PRV7088"]) == (done.code, done.codes)


def test_the_only_plan_is_taken_where_none_is_named(sites: CommandLine) -> None:
    assert "shop" == planned(sites, "test")["plan"]
    for command in (("status",), ("history",)):
        assert 0 == sites("dr", *command).code
    # What changes something does not guess.
    assert ["PRV6001"] == sites("dr", "failover", "--yes", "--json").codes


def test_of_several_plans_one_has_to_be_named(sites: CommandLine) -> None:
    declare(sites, {"RecoveryPlan/shop": PLAN, "RecoveryPlan/mail": PLAN})
    done = sites("dr", "status")
    assert "there are 2: mail, shop" in done.err
