"""Machines whose clocks differ: nothing is told of a loss, or of an age, that they make up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provisioner.cli.render.runs import render_run
from provisioner.cli.render.text import plain
from provisioner.core.clock import SystemClock
from provisioner.service.recovery.commands import Commands
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.report import report
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys
from provisioner.workflows.runs import Outcome
from tests.lifecycle.recoveryprogram import Sites
from tests.lifecycle.twosites import TwoSites
from tests.unit.workflows.recovery.plans import planned

EIGHT_DAYS = timedelta(days=8)


class Behind(SystemClock):
    """A clock that is eight days late."""

    def now(self) -> datetime:
        return super().now() - EIGHT_DAYS


def test_what_a_failover_lost_is_not_known_by_a_clock_that_is_late(tmp_path: Path) -> None:
    sites = TwoSites(tmp_path, [planned("db")])
    sites.replicate()
    sites.clock = Behind()
    run = sites.run(Mode.FAILOVER)
    assert Outcome.SUCCEEDED is run.record.outcome
    (db,) = report(run).machines
    assert (None, None) == (db.loss, db.is_within)
    assert db.ahead is not None
    assert EIGHT_DAYS == timedelta(days=round(db.ahead / 86400))
    told = [line for line in render_run(run, Commands("shop"), 200, plain) if "lost" in line]
    assert [True] == ["what is lost is not known" in line for line in told]


def test_a_stored_plan_of_the_future_is_refused_unless_it_is_wanted(sites: Sites) -> None:
    sites("replicate", "run")
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    path, now = sites.cli.root / "shop.plan", datetime.now(UTC)
    plan = storing.read(path, TrustedKeys.read(sites.cli.root / "ops.pub"), now).plan
    later = replace(plan, compiled=now + EIGHT_DAYS)
    storing.write(later, SigningKey.read(sites.cli.root / "ops"), path)
    named = ("--from", "shop.plan", "--trusted", "ops.pub")
    refused = sites.cli("dr", "failover", *named, "--yes", "--json")
    assert (1, ["PRV7123"]) == (refused.code, refused.codes)
    assert "succeeded" == sites("dr", "failover", *named, "--yes", "--allow-age")["outcome"]
