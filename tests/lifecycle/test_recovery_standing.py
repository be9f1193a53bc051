"""A drill that stands is cleared away before the next one."""

from __future__ import annotations

import json

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites


def refusal(sites: Sites, *arguments: str) -> dict[str, str]:
    done = sites.cli(*arguments, "--json")
    assert (1, ["PRV7099"]) == (done.code, done.codes)
    (found,) = [json.loads(line) for line in done.err.splitlines() if line[:1] == "{"]
    assert isinstance(found, dict)
    return found


def test_a_second_drill_is_refused_until_the_first_is_cleared_away(sites: Sites) -> None:
    sites("replicate", "run")
    first = sites("dr", "test", "shop")["run"]
    said = refusal(sites, "dr", "test", "shop", "--journal", str(journal(sites)))
    assert f"run {first}" in said["summary"]
    hint = f"Clear it away: 'provisioner dr cleanup shop --journal {journal(sites)}'."
    assert hint == said["hint"]
    assert "succeeded" == sites("dr", "cleanup", "shop")["outcome"]
    assert "succeeded" == sites("dr", "test", "shop")["outcome"]


def journal(sites: Sites) -> object:
    (found,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    return found


def test_a_drill_that_failed_half_way_stands_too(sites: Sites) -> None:
    sites("replicate", "run")
    ill = "{machine: db, tier: 1, health: {command: {argv: ['false']}, timeout: 1s}}"
    declare(sites.cli, {"RecoveryPlan/shop": PLAN.replace("{machine: db, tier: 1}", ill)})
    assert "in-part" == sites("dr", "test", "shop")["outcome"]
    said = refusal(sites, "dr", "test", "shop")
    assert "Or go on with it: 'provisioner dr resume shop'." in said["hint"]


def test_a_drill_that_made_nothing_stands_nowhere(sites: Sites) -> None:
    step = "steps: [{name: no, when: before, modes: [test], command: {argv: ['false']}}]"
    declare(sites.cli, {"RecoveryPlan/shop": f"{PLAN}\n{step}"})
    for _ in range(2):
        assert "stopped" == sites("dr", "test", "shop")["outcome"]


def test_a_drill_at_a_site_that_became_the_plans_own_is_none_any_more(sites: Sites) -> None:
    sites("replicate", "run")
    sites("dr", "test", "shop")
    sites("dr", "migrate", "shop", "--yes")
    sites("dr", "reprotect", "shop", "--yes")
    assert "succeeded" == sites("dr", "test", "shop")["outcome"]
    assert ["drill-shop-db", "drill-shop-web"] == sites.running("east")
