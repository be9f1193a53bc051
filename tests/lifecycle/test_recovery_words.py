"""What runs of recovery plans are called, and what is offered where there is little to do."""

from __future__ import annotations

import click
import pytest

from provisioner.cli import asking
from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.test_cli_recovery_again import step

FAILING = f"{PLAN}\nsteps: [{{name: no, when: before, modes: [migrate], " + (
    "command: {argv: ['false']}}]"
)


YES = dict.fromkeys(("migrate", "reprotect", "failback"), ("--yes",))


def test_runs_have_names_in_sentences_and_modes_for_programs(sites: Sites) -> None:
    sites("replicate", "run")
    ends = []
    for command in ("test", "cleanup", "migrate", "reprotect", "failback"):
        lines = sites.cli("dr", command, "shop", *YES.get(command, ())).out.splitlines()
        end = next(line for line in lines if line.startswith("The "))
        ends.append((lines[0].partition(":")[0], end.partition(" succeeded")[0]))
    assert [
        ("Drill", "The drill of shop"),
        ("Clean-up", "The clean-up of shop"),
        ("Migration", "The migration of shop"),
        ("Reprotection", "The reprotection of shop"),
        ("Failback", "The failback of shop"),
    ] == ends
    assert "\nThe failback of shop, begun by" in sites.cli("dr", "status").out
    assert "Failback of shop" in sites.cli("dr", "report").out
    rows = sites.cli("dr", "history").out.splitlines()[1:]
    names = ("failback", "reprotection", "migration", "clean-up", "drill")
    assert [True] * 5 == [name in row for name, row in zip(names, rows, strict=True)]
    assert "migrate" == sites("dr", "status")["mode"]


def test_programs_get_the_mode_and_the_name_of_a_run_when_it_begins(sites: Sites) -> None:
    sites("replicate", "run")
    told = []
    for command in ("migrate", "reprotect", "failback"):
        begun = sites.cli("dr", command, "shop", "--yes", "--json").lines[0]
        told.append((begun["mode"], begun["called"]))
    assert [
        ("migrate", "migration"),
        ("reprotect", "reprotection"),
        ("migrate", "failback"),
    ] == told


def test_a_failover_home_is_called_a_failover(sites: Sites) -> None:
    sites("replicate", "run")
    for command in ("migrate", "reprotect"):
        sites("dr", command, "shop", "--yes")
    lines = sites.cli("dr", "failover", "shop", "--yes").out.splitlines()
    assert "Failover" == lines[0].partition(":")[0]
    assert "The failover of shop succeeded" in "\n".join(lines)
    assert " failover " in sites.cli("dr", "history").out.splitlines()[1]


@pytest.mark.parametrize(
    ("command", "before", "called"),
    [
        ("migrate", (), "migration"),
        ("failover", (), "failover"),
        ("failback", ("migrate", "reprotect"), "failback"),
    ],
)
def test_a_rollback_asks_about_the_run_that_it_undoes(
    sites: Sites,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    before: tuple[str, ...],
    called: str,
) -> None:
    sites("replicate", "run")
    for mode in before:
        sites("dr", mode, "shop", "--yes")
    mode = "failover" if command == "failover" else "migrate"
    declare(sites.cli, {"RecoveryPlan/shop": step(mode, "['false']")})
    sites("dr", command, "shop", "--yes")
    asked: list[str] = []

    def refuse(_: object, question: str, **__: object) -> None:
        asked.append(question)
        raise click.Abort

    monkeypatch.setattr(asking, "confirm", refuse)
    sites.cli("dr", "rollback", "shop")
    assert [f"Start shop again where it ran before the {called}?"] == asked


def test_a_rollback_of_a_drill_is_refused_and_says_what_can_be_rolled_back(sites: Sites) -> None:
    sites("dr", "test", "shop")
    said = " ".join(sites.cli("dr", "rollback", "shop").err.split())
    assert "no migration or failover to roll back: the last run was a drill" in said


def test_how_a_run_ended_is_said_in_words(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": FAILING.replace("}}]", "}, onFailure: go-on}]")})
    sites("dr", "migrate", "shop", "--yes")
    assert "  in part  " in sites.cli("dr", "history").out


def test_a_rollback_of_nothing_is_refused_before_anybody_is_asked(sites: Sites) -> None:
    assert ["PRV7093"] == sites.cli("dr", "rollback", "shop", "--json").codes


def test_giving_up_a_run_that_stopped_nothing_offers_no_start(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": FAILING})
    sites("dr", "migrate", "shop", "--yes")
    told = sites.cli("dr", "cancel").out
    assert told.startswith("The migration of shop is given up")
    assert "start the machines again" not in told


def test_a_stopped_migration_that_is_given_up_offers_the_start_alone(sites: Sites) -> None:
    late = FAILING.replace("when: before", "when: before, tier: 1")
    declare(sites.cli, {"RecoveryPlan/shop": late})
    sites("dr", "migrate", "shop", "--yes")
    told = sites.cli("dr", "cancel").out
    assert "  To start the machines again at east, where they ran:" in told.splitlines()
