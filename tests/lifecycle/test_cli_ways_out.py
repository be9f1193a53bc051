"""Ways out of runs of recovery plans when the other site, or the plan, is not what it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.test_cli_recovery_again import ill, step
from tests.unit.workflows.acting import far_away

TRUST = ("--trust-site", "west")
ROLLBACK = ("dr", "rollback", "shop", "--yes")


def journal_of(sites: Sites) -> Path:
    (journal,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    return journal


@pytest.fixture
def lost(sites: Sites) -> Sites:
    """A migration that turned and started nothing, before its target gave no answer any more."""
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert ([], []) == (sites.running("east"), sites.running("west"))
    sites.outside("west").power_off()
    return sites


def test_no_rollback_while_nobody_speaks_for_a_silent_target(lost: Sites) -> None:
    done = lost.cli(*ROLLBACK, "--json")
    assert (1, ["PRV7104"]) == (done.code, done.codes)
    assert "provisioner dr rollback shop --trust-site west" in done.err
    assert [] == lost.running("east")
    done = lost.cli(*ROLLBACK, "--trust-site", "east", "--json")
    assert (1, ["PRV7105"]) == (done.code, done.codes)


def test_a_silent_target_that_is_trusted_to_be_off_lets_the_machines_start_at_home(
    lost: Sites,
) -> None:
    done = lost.cli(*ROLLBACK, *TRUST)
    assert 0 == done.code, done.err
    assert ["db", "web"] == lost.running("east")
    assert "somebody's word (--trust-site)" in " ".join(done.err.split())
    report = lost.cli("dr", "report", "shop", "--format", "json", "--unsigned").json
    expected = ["--trust-site: somebody said that west is off"]
    assert [expected] == [carrier["notices"] for carrier in report["carriers"]]
    # It comes back, and protects again.
    lost.outside("west").come_back()
    assert "succeeded" == lost("dr", "reprotect", "shop", "--yes")["outcome"]
    assert ["db", "web"] == lost.running("east")


def test_nobodys_word_counts_where_a_start_was_begun(sites: Sites) -> None:
    well = sites.cli.root / "well"
    declare(sites.cli, {"RecoveryPlan/shop": ill(well)})
    assert "in-part" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    sites.outside("west").power_off()
    done = sites.cli(*ROLLBACK, *TRUST, "--json")
    assert (1, ["PRV7100"]) == (done.code, done.codes)
    assert [] == sites.running("east")


def test_a_rollback_whose_target_falls_silent_is_begun_again_on_somebodys_word(
    sites: Sites,
) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert "succeeded" == sites(*ROLLBACK)["outcome"]
    # As if it had been killed before its end.
    with closing(sqlite3.connect(journal_of(sites))) as connection, connection:
        connection.execute(
            "UPDATE runs SET ended = NULL, outcome = NULL, process = NULL WHERE mode = 'rollback'"
        )
    sites.outside("east").change("VirtualMachine", "db", ("power",), "stopped")
    sites.outside("west").power_off()
    done = sites.cli(*ROLLBACK, *TRUST)
    assert 0 == done.code, done.err
    assert ["db", "web"] == sites.running("east")
    history = sites.cli("dr", "history", "shop", "--json").json
    expected = [("rollback", "succeeded"), ("rollback", "cancelled"), ("migrate", "stopped")]
    assert expected == [(run["mode"], run["outcome"]) for run in history]


def test_a_site_that_answers_is_believed_more_than_a_word(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    sites("dr", "migrate", "shop", "--yes")
    sites.outside("west").add("VirtualMachine", "db", {"power": "running"})
    done = sites.cli(*ROLLBACK, *TRUST, "--json")
    assert (1, ["PRV7100"]) == (done.code, done.codes)


def test_a_person_may_say_where_machines_are_while_the_other_site_is_silent(lost: Sites) -> None:
    assert 0 == lost.cli("dr", "cancel", "shop").code
    done = lost.cli("dr", "failback", "shop", "--running-at", "east", "--yes", "--json")
    assert (1, ["PRV7090"]) == (done.code, done.codes)  # they are at home


def test_but_not_against_what_runs(sites: Sites) -> None:
    sites("replicate", "run")
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    done = sites.cli("dr", "failback", "shop", "--running-at", "east", "--yes", "--json")
    assert (1, ["PRV7098"]) == (done.code, done.codes)


def test_a_run_is_undone_by_the_plan_that_it_began_with_whatever_it_is_now(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    done = sites.cli(*ROLLBACK)
    assert 0 == done.code, done.err
    assert "the plan has changed since the run began" in done.out
    assert ["db", "web"] == sites.running("east")
    assert "the plan has changed since the run began" in sites.cli("dr", "report", "shop").out


def test_a_journal_without_that_plan_says_how_to_name_it(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": step("migrate", "['false']")})
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    journal = journal_of(sites)
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("DROP TABLE bases")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    done = sites.cli(*ROLLBACK, "--json")
    assert (1, ["PRV7092"]) == (done.code, done.codes)
    assert f"--from FILE --journal {journal}" in done.err
    stored = ("--from", "shop.plan", "--trusted", "ops.pub", "--journal", journal)
    assert 0 == sites.cli("dr", "rollback", *stored, "--yes").code


@pytest.fixture
def halved(sites: Sites) -> Sites:
    """A failover that left out a machine, which runs where it was."""
    sites("replicate", "run")
    done = sites.cli("dr", "failover", "shop", "--without", "web", "--yes")
    assert 0 == done.code
    assert "warning[PRV7107]: VirtualMachine/web: left out of the failover" in done.err
    assert (["web"], ["db"]) == (sites.running("east"), sites.running("west"))
    return sites


def test_what_was_left_out_stays_out_until_the_others_have_come_back_to_it(halved: Sites) -> None:
    for verb in ("reprotect", "failback"):
        done = halved.cli("dr", verb, "shop", "--yes")
        assert (0, ["web"]) == (done.code, [n for n in halved.running("east") if n == "web"])
        assert "  Left out: VirtualMachine/web" in done.out.splitlines()
    assert (["db", "web"], ["batch"]) == (halved.running("east"), halved.running("west"))
    # Now all of them are at one site.
    done = halved.cli("dr", "reprotect", "shop", "--yes")
    assert (0, False) == (done.code, "Left out" in done.out)
    assert "succeeded" == halved("dr", "migrate", "shop", "--yes")["outcome"]
    assert ([], ["db", "web"]) == (halved.running("east"), halved.running("west"))


def test_what_was_left_out_is_brought_in_again_by_name(halved: Sites) -> None:
    # Somebody makes it at the other site by hand.
    halved.outside("east").change("VirtualMachine", "web", ("power",), "stopped")
    done = halved.cli("dr", "reprotect", "shop", "--with", "mail", "--yes", "--json")
    assert (1, ["PRV7089"]) == (done.code, done.codes)
    done = halved.cli("dr", "reprotect", "shop", "--without", "db", "--yes", "--json")
    assert (1, ["PRV7106"]) == (done.code, done.codes)
    done = halved.cli("dr", "reprotect", "shop", "--with", "web", "--yes")
    assert "Left out" not in done.out


def test_a_rollback_starts_nothing_that_was_left_out(sites: Sites) -> None:
    sites("replicate", "run")
    sites.outside("east").change("VirtualMachine", "web", ("power",), "stopped")
    declare(sites.cli, {"RecoveryPlan/shop": step("failover", "['false']")})
    assert "stopped" == sites("dr", "failover", "shop", "--without", "web", "--yes")["outcome"]
    assert "succeeded" == sites("dr", "rollback", "shop", "--yes")["outcome"]
    assert ["db"] == sites.running("east")


def test_a_drill_that_nobody_can_see_to_live_has_every_way_out_that_consent_opens(
    sites: Sites,
) -> None:
    sites("dr", "test", "shop")
    far_away(journal_of(sites))
    with closing(sqlite3.connect(journal_of(sites))) as connection, connection:
        connection.execute("UPDATE runs SET ended = NULL, outcome = NULL")
    ways = [
        f"provisioner dr {verb} shop --take-over"
        for verb in ("resume", "cancel", "cleanup", "failover")
    ]
    status = sites.cli("dr", "status", "shop").out.splitlines()
    assert ways == [line.strip() for line in status if "--take-over" in line]
    said = sites.cli("dr", "migrate", "shop", "--yes", "--json").err
    assert [True] * 4 == [f"'{way}'" in said for way in ways]
