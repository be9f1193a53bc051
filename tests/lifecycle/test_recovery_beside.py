"""A machine that somebody starts by hand at the site that a failover has left: it runs at both
sites. Whoever looks is told, and nothing of it is given up without consent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.workflows.recovery.beside import given_up
from provisioner.workflows.recovery.model import Mode
from tests.lifecycle.commandline import Finished
from tests.lifecycle.recoveryprogram import Sites
from tests.lifecycle.results import misfits
from tests.lifecycle.test_away import forget_journals, manifests
from tests.lifecycle.twosites import TwoSites
from tests.person import Person
from tests.unit.workflows.recovery.plans import A, planned

MACHINE = "VirtualMachine"
WEB = f"{MACHINE}/web"
TWICE = (
    f"{WEB} runs at both sites: on Host/west-1 at west, and on Host/east-1 at east, where it has to"
    " stay off"
)


def power(sites: Sites | TwoSites, site: str, state: str, *machines: str) -> None:
    """Somebody starts or stops machines, past every mark."""
    for machine in machines:
        sites.outside(site).change(MACHINE, machine, ("power",), state)


@pytest.fixture
def twice(sites: Sites) -> Sites:
    """East was lost, and is back, and somebody has started web there."""
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    sites("replicate", "run")
    sites.outside("east").power_off()
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    sites.outside("east").come_back()
    power(sites, "east", "running", "web")
    assert (["web"], ["db", "web"]) == (sites.running("east"), sites.running("west"))
    return sites


def found(sites: Sites, *command: str, code: str = "PRV7125") -> list[str]:
    """What is said under a code."""
    done = sites.cli(*command, "--json")
    return [item["summary"] for item in diagnostics(done) if item["code"] == code]


def diagnostics(done: Finished) -> list[dict[str, Any]]:
    """What a command with ``--json`` has to say besides its result."""
    return [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]


# The gate


def test_a_check_finds_what_runs_at_both_sites(twice: Sites) -> None:
    assert [TWICE] == found(twice, "dr", "check", "shop")
    assert 1 == twice.cli("dr", "check", "shop").code


def test_a_check_finds_what_runs_only_where_it_has_to_stay_off(twice: Sites) -> None:
    power(twice, "west", "stopped", "web")
    (said,) = found(twice, "dr", "check", "shop")
    assert said.startswith(f"{WEB} runs on Host/east-1 at east, where it has to stay off; at west,")
    assert said.endswith("where shop has its machines as far as is known, it is stopped")
    assert "  provisioner dr reprotect shop --running-at east" in (
        line.rstrip(".")[8:] for line in twice.cli("dr", "check", "shop").err.splitlines()
    )


def test_a_check_has_nothing_against_what_is_off_there(twice: Sites) -> None:
    power(twice, "east", "stopped", "web")
    assert [] == found(twice, "dr", "check", "shop")


def test_without_the_journal_a_check_believes_the_hosts(twice: Sites) -> None:
    """It is done elsewhere, by a pipeline say, long after the failover."""
    power(twice, "east", "stopped", "web")
    forget_journals(twice.cli.root)
    done = twice.cli("dr", "check", "shop", "--json")
    assert [] == [item for item in diagnostics(done) if item["code"] in ("PRV7098", "PRV7125")]
    (plan,) = done.json["plans"]
    assert ["west", "east"] == plan["sites"]
    said = twice.cli("dr", "check", "shop").err
    assert "the hosts said that the machines run at west" in " ".join(said.split())


def test_a_check_that_cannot_tell_where_machines_belong_says_that_alone(twice: Sites) -> None:
    power(twice, "west", "stopped", "web")
    forget_journals(twice.cli.root)
    done = twice.cli("dr", "check", "shop", "--json")
    assert (1, []) == (done.code, found(twice, "dr", "check", "shop"))
    (said,) = (item for item in diagnostics(done) if item["code"] == "PRV7098")
    assert "web at east and db at west" in said["summary"]


def test_a_journal_that_cannot_be_read_makes_no_machine_wrong(twice: Sites) -> None:
    (journal,) = twice.cli.root.rglob("recovery/shop.db")
    journal.write_bytes(b"no journal")
    done = twice.cli("dr", "check", "shop")
    assert (1, []) == (done.code, found(twice, "dr", "check", "shop"))


def test_a_machine_that_was_left_out_may_run_where_it_is(sites: Sites) -> None:
    sites("replicate", "run")
    left_out = ("--without", "web", "--yes")
    assert "succeeded" == sites("dr", "migrate", "shop", *left_out)["outcome"]
    assert (["web"], ["db"]) == (
        sites.running("east"),
        [name for name in sites.running("west") if name != "batch"],
    )
    assert [] == found(sites, "dr", "check", "shop")


# Plan, apply and drift


RUNS_HERE = f"{WEB} runs on Host/east-1, where it has to stay off: "


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("drift",)])
def test_whoever_looks_at_the_stack_is_told(twice: Sites, command: tuple[str, ...]) -> None:
    done = twice.cli(*command)
    told = " ".join((done.out + done.err).split())
    assert f"{RUNS_HERE}the recovery plan shop has it at Site/west since" in told
    assert "provisioner dr reprotect shop takes it over" in told
    assert ["web"] == twice.running("east")


@pytest.fixture
def marked(twice: Sites) -> Sites:
    """A migration has left web behind, marked, and no journal is at hand."""
    consent = ("--allow-data-loss", "web", "--yes")
    assert "succeeded" == twice("dr", "reprotect", "shop", *consent)["outcome"]
    power(twice, "east", "running", "web")
    forget_journals(twice.cli.root)
    return twice


@pytest.mark.parametrize("command", ["plan", "drift"])
def test_the_mark_tells_where_no_journal_is_at_hand(marked: Sites, command: str) -> None:
    done = marked.cli(command)
    told = " ".join((done.out + done.err).split())
    assert f"{RUNS_HERE}it is marked as not to start: recovery plan shop: it runs at west" in told


def test_a_journal_that_cannot_be_read_keeps_nobody_from_seeing_drift(twice: Sites) -> None:
    (journal,) = twice.cli.root.rglob("recovery/shop.db")
    journal.write_bytes(b"no journal")
    power(twice, "east", "running", "db")  # so that nothing differs, and no plan is needed
    done = twice.cli("drift", "--json")
    assert 0 == done.code
    assert ["warning"] == [item["severity"] for item in done.json["problems"]]


def test_nobody_is_told_of_machines_that_are_where_they_belong(twice: Sites) -> None:
    power(twice, "east", "stopped", "web")
    assert "PRV7128" not in twice.cli("plan").out + twice.cli("drift").err


# Status


def test_a_status_says_it_loudly(twice: Sites) -> None:
    shown = " ".join(twice.cli("dr", "status", "shop").out.split())
    assert f"RUNS TWICE: {TWICE}. What to do about it: provisioner dr check shop" in shown
    status = twice("dr", "status", "shop")
    expected = {"machine": WEB, "host": "east-1", "site": "east", "twice": True}
    assert ("succeeded", [expected]) == (status["outcome"], status["beside"])


def test_a_status_begins_with_the_sites_and_what_each_is_now(twice: Sites) -> None:
    lines = twice.cli("dr", "status", "shop").out.splitlines()
    assert ["SITE", "ROLE", "NOW", "HOSTS"] == lines[0].split()
    assert ["west", "primary", "of", "shop", "west-1"] == lines[1].split()
    assert ["east", "recovery", "east-1"] == lines[2].split()


def test_a_status_tells_of_a_host_that_gives_no_answer(twice: Sites) -> None:
    twice.outside("east").power_off()
    sites = twice("dr", "status", "shop")["sites"]
    assert isinstance(sites, list)
    assert [("west", "primary", True), ("east", "recovery", False)] == [
        (site["site"], site["role"], host["answers"]) for site in sites for host in site["hosts"]
    ]
    assert "east-1 (gives no answer)" in twice.cli("dr", "status", "shop").out


def test_a_status_knows_the_sites_before_the_first_run_and_asks_nobody(sites: Sites) -> None:
    status = sites("dr", "status", "shop")
    assert (None, [], None) == (status["run"], status["tasks"], status["beside"])
    assert isinstance(status["sites"], list)
    assert [("east", "primary", None), ("west", "recovery", None)] == [
        (site["site"], site["role"], host["answers"])
        for site in status["sites"]
        for host in site["hosts"]
    ]


def test_a_status_has_the_same_keys_before_the_first_run_and_after_it(sites: Sites) -> None:
    before = sites("dr", "status", "shop")
    sites("dr", "test", "shop")
    after = sites("dr", "status", "shop")
    assert set(after) == set(before)
    run = ("run", "plan", "mode", "outcome", "actor", "started", "ended", "seconds", "undoes")
    assert [None] * len(run) == [before[key] for key in run]
    assert None not in [after[key] for key in run if key != "undoes"]


# Consent


def test_nothing_is_given_up_without_consent(twice: Sites) -> None:
    done = twice.cli("dr", "reprotect", "shop", "--yes", "--json")
    assert (5, ["PRV7126"]) == (done.code, done.codes)
    assert ["web"] == twice.running("east")
    (said,) = diagnostics(done)
    assert (
        f"{WEB} still runs at east, and what it wrote there since the failover of"
        in (said["summary"])
    )
    assert "'provisioner dr reprotect shop --allow-data-loss web'" in said["hint"]


def test_consent_names_the_machine(twice: Sites) -> None:
    power(twice, "east", "running", "db")
    consent = ("--allow-data-loss", "db", "--yes", "--json")
    done = twice.cli("dr", "reprotect", "shop", *consent)
    assert (5, ["PRV7126"]) == (done.code, done.codes)
    (said,) = diagnostics(done)
    assert "--allow-data-loss db --allow-data-loss web'" in said["hint"]


def test_the_question_names_what_is_given_up(twice: Sites) -> None:
    person = Person(twice.cli.root, "dr", "reprotect", "shop", "--allow-data-loss", "web")
    person.see("[y/N]")
    assert "; what web wrote at east since the failover of" in " ".join(person.screen.split())
    person.type("n\n")
    assert 130 == person.leave()
    assert ["web"] == twice.running("east")


def test_nothing_is_given_up_that_nobody_could_see(twice: Sites) -> None:
    twice.outside("east").power_off()
    done = twice.cli("dr", "reprotect", "shop", "--yes", "--json")
    assert (5, ["PRV7126"]) == (done.code, done.codes)
    assert "cannot be seen" in done.err


def test_what_is_off_there_needs_no_consent(twice: Sites) -> None:
    power(twice, "east", "stopped", "web")
    assert "succeeded" == twice("dr", "reprotect", "shop", "--yes")["outcome"]
    assert [] == twice.cli("dr", "report", "shop", "--format", "json", "--unsigned").json["givenUp"]


# Evidence


def test_the_end_and_the_report_name_what_was_given_up(twice: Sites) -> None:
    done = twice.cli("dr", "reprotect", "shop", "--allow-data-loss", "web", "--yes")
    assert (0, []) == (done.code, twice.running("east"))
    for text in (done.out, done.err, twice.cli("dr", "report", "shop").out):
        told = " ".join(text.split())
        assert "ran on Host/east-1 at east still at" in told
        assert "what it wrote there since the failover of" in told
    report = twice.cli("dr", "report", "shop", "--format", "json", "--unsigned").json
    assert [] == misfits("recovery-report", report)
    (item,) = report["givenUp"]
    assert (WEB, "east-1") == (item["machine"], item["host"])
    assert item["since"] < item["seen"]
    (carrier,) = report["carriers"]
    assert carrier["notices"][0].startswith("--allow-data-loss: what web wrote at east since the")


@pytest.fixture
def two(tmp_path: Path) -> TwoSites:
    """The first site was lost, and is back."""
    found = TwoSites(tmp_path, [planned("db")])
    found.replicate()
    found.outside(A).power_off()
    found.run(Mode.FAILOVER)
    found.outside(A).come_back()
    found.turn()
    return found


def test_what_is_started_in_the_middle_of_a_run_is_named_too(two: TwoSites) -> None:
    two.before["yield"] = lambda: power(two, A, "running", "db")
    run = two.run(Mode.REPROTECT)
    assert {} == run.tasks["former"].result["on"]
    assert ["db"] == [item.machine.name for item in given_up(run)]


def test_a_run_that_is_gone_on_with_remembers_what_it_had_stopped(two: TwoSites) -> None:
    power(two, A, "running", "db")
    two.stop_at("stand-by/db")
    two.run(Mode.REPROTECT)
    assert [] == two.running(A)
    two.begin_anew()
    run = two.resume(Mode.REPROTECT)
    assert 2 == run.tasks["yield/db"].beginnings
    assert ["db"] == [item.machine.name for item in given_up(run)]
