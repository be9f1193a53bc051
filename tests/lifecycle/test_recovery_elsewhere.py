"""Recovery by a stored plan whose journal, state and manifests may be anywhere or nowhere: which
journal counts, and what the hosts say where none knows which way the plan leads.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.main import run as program
from provisioner.state.process import ProcessIdentity
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys
from tests.lifecycle.commandline import Finished
from tests.lifecycle.recovery import POLICIES, RESOURCES, declare
from tests.lifecycle.recoveryprogram import PLAN, Sites

STORED = ("--from", "shop.plan", "--trusted", "ops.pub")
MACHINE = "VirtualMachine"
JOURNAL = "shop.plan.runs.db"


@pytest.fixture
def stored(sites: Sites) -> Sites:
    """Two sites with copies at the second one, and a stored plan."""
    sites("replicate", "run")
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    return sites


def forget(sites: Sites) -> None:
    """The journals are gone, wherever they were."""
    (sites.cli.root / JOURNAL).unlink(missing_ok=True)
    for state in (sites.cli.root / ".provisioner").glob("*/recovery"):
        shutil.rmtree(state)


def lose_east(sites: Sites) -> None:
    """Nothing answers at the first site."""
    path = sites.cli.root / "east-1.jsonl"
    path.rename(path.with_suffix(".lost"))
    path.mkdir()


def refused(done: Finished) -> dict[str, str]:
    """The only diagnostic of a command with --json that was refused."""
    assert 1 == done.code
    (found,) = [json.loads(line) for line in done.err.splitlines() if line[:1] == "{"]
    assert isinstance(found, dict)
    return found


def test_the_journal_of_a_stored_plan_lies_beside_it_whole(stored: Sites) -> None:
    assert "succeeded" == stored("dr", "migrate", *STORED, "--yes")["outcome"]
    assert [JOURNAL] == sorted(item.name for item in stored.cli.root.glob("shop.plan.*"))
    other = stored.cli.root / "taken"
    other.mkdir()
    shutil.copy(stored.cli.root / JOURNAL, other / "runs.db")
    status = stored("dr", "status", "--journal", other / "runs.db")
    assert ("migrate", "succeeded") == (status["mode"], status["outcome"])
    assert "migrate" == stored("dr", "report", "--from", "shop.plan", "--unsigned")["mode"]
    assert stored.cli("dr", "history", "shop", "--json").json == []


def test_an_open_run_that_the_state_knows_of_is_told(stored: Sites) -> None:
    declare(stored.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    stored.cli("dr", "failover", "shop", "--yes")
    with closing(sqlite3.connect(beside_state(stored))) as connection, connection:
        connection.execute("UPDATE runs SET ended = NULL, outcome = NULL")
    done = stored.cli("dr", "cleanup", *STORED)
    assert "a failover of shop that has not ended" in done.err
    assert f"--journal {beside_state(stored)}" in done.err


def beside_state(sites: Sites) -> Path:
    (found,) = (sites.cli.root / ".provisioner").glob("*/recovery/shop.db")
    return found


def test_the_hosts_turn_a_plan_of_which_no_journal_knows(stored: Sites) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    forget(stored)
    assert "succeeded" == stored("dr", "reprotect", *STORED, "--yes")["outcome"]
    forget(stored)
    assert "succeeded" == stored("dr", "failback", *STORED, "--yes")["outcome"]
    assert (["db", "web"], ["batch"]) == (stored.running("east"), stored.running("west"))
    expected = "the journal knew of no turn; the hosts said that the machines run at west"
    assert [[expected]] == [item["notices"] for item in carriers(stored)]


def carriers(sites: Sites) -> list[dict[str, list[str]]]:
    """Who carried the last run out, as its report says."""
    found = sites("dr", "report", *STORED[:2], "--unsigned")["carriers"]
    assert isinstance(found, list)
    return found


def test_a_machine_that_stands_by_tells_where_it_runs_while_that_site_is_silent(
    stored: Sites,
) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    stored("dr", "reprotect", *STORED, "--yes")
    forget(stored)
    path = stored.cli.root / "west-1.jsonl"
    path.rename(path.with_suffix(".lost"))
    path.mkdir()
    assert "succeeded" == stored("dr", "failover", *STORED, "--yes")["outcome"]
    assert ["db", "web"] == stored.running("east")


def test_a_silent_site_is_no_evidence(stored: Sites) -> None:
    lose_east(stored)
    run = stored("dr", "failover", *STORED, "--yes")
    assert ("succeeded", "west") == (run["outcome"], "west")
    assert ["db", "web"] == stored.running("west")


def test_machines_at_both_sites_are_listed_and_nothing_is_begun(stored: Sites) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    forget(stored)
    stored.outside("west").change(MACHINE, "web", ("power",), "stopped")
    stored.outside("east").change(MACHINE, "web", ("power",), "running")
    said = refused(stored.cli("dr", "failover", *STORED, "--yes", "--json"))
    assert "PRV7098" == said["code"]
    assert "web at east and db at west" in said["summary"]
    assert "VirtualMachine/db: stopped at east, standing by, running at west" in said["detail"]
    assert "--running-at east or --running-at west" in said["hint"]
    assert not (stored.cli.root / JOURNAL).exists()


def test_a_part_of_the_machines_turns_nothing_unless_somebody_says_so(stored: Sites) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    forget(stored)
    lose_east(stored)
    stored.outside("west").remove(MACHINE, "web")
    said = refused(stored.cli("dr", "test", *STORED, "--json"))
    assert ("PRV7098", True) == (said["code"], "db at west, and not the others" in said["summary"])
    assert "Host/east-1 told nothing: " in said["detail"]
    done = stored.cli("dr", "failover", *STORED, "--running-at", "north", "--yes", "--json")
    assert "PRV7098" == refused(done)["code"]
    run = stored("dr", "failover", *STORED, "--running-at", "east", "--yes")
    tasks = run["tasks"]
    assert isinstance(tasks, list)
    assert ["east is fenced"] == [item["title"] for item in tasks if item["id"] == "fenced"]


def test_what_all_hosts_contradict_is_not_believed(stored: Sites) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    said = refused(stored.cli("dr", "test", *STORED, "--running-at", "east", "--json"))
    assert ("PRV7098", "Leave the option out.") == (said["code"], said["hint"])


def test_a_journal_that_was_left_behind_turns_nothing(stored: Sites) -> None:
    stored("dr", "migrate", *STORED, "--yes")
    for command in ("reprotect", "failback", "reprotect"):
        assert "succeeded" == stored("dr", command, "shop", "--yes")["outcome"]
    said = refused(stored.cli("dr", "failover", *STORED, "--yes", "--json"))
    assert "PRV7098" == said["code"]
    assert "says that the machines of shop run at west, and the hosts" in said["summary"]
    assert "or say what you see: --running-at east." in said["hint"]
    lose_east(stored)
    run = stored("dr", "failover", *STORED, "--running-at", "east", "--yes")
    assert ("succeeded", ["db", "web"]) == (run["outcome"], stored.running("west"))
    (notice,) = carriers(stored)[0]["notices"]
    assert notice.endswith("run at east; the journal said west")


def test_a_plan_that_never_moved_is_not_reprotected(stored: Sites) -> None:
    said = refused(stored.cli("dr", "reprotect", *STORED, "--yes", "--json"))
    assert ("PRV7091", True) == (said["code"], "--journal" in said["hint"])
    assert "replicate run" not in said["hint"]


def test_a_plan_that_is_too_old_is_used_knowingly(stored: Sites) -> None:
    path, now = stored.cli.root / "shop.plan", datetime.now(UTC)
    plan = storing.read(path, TrustedKeys.read(stored.cli.root / "ops.pub"), now).plan
    old = replace(plan, compiled=now - timedelta(days=31))
    storing.write(old, SigningKey.read(stored.cli.root / "ops"), path)
    said = refused(stored.cli("dr", "failover", *STORED, "--yes", "--json"))
    assert ("PRV7046", True) == (said["code"], "--allow-age" in said["hint"])
    assert "succeeded" == stored("dr", "failover", *STORED, "--yes", "--allow-age")["outcome"]
    (carrier,) = carriers(stored)
    assert carrier["notices"][0].startswith("--allow-age: the stored plan shop.plan is too old")
    done = stored.cli("dr", "report", *STORED[:2])
    assert "--allow-age: the stored plan shop.plan is too old" in " ".join(done.out.split())


def test_commands_in_messages_can_be_pasted(
    stored: Sites, capsys: pytest.CaptureFixture[str]
) -> None:
    root = stored.cli.root
    (root / "the plan").mkdir()
    for name in ("shop.plan", "ops.pub"):
        shutil.copy(root / name, root / "the plan" / name)
    failing = f"{PLAN}\nsteps: [{{name: no, when: before, modes: [failover], " + (
        "command: {argv: [test, -e, go]}}]"
    )
    declare(stored.cli, {"RecoveryPlan/shop": failing})
    stored("dr", "compile", "shop", "-o", "the plan/shop.plan", "--key", "ops")
    named = ("--from", "the plan/shop.plan", "--trusted", "the plan/ops.pub", "--journal", "a b.db")
    done = stored.cli("dr", "failover", *named, "--yes")
    assert 6 == done.code
    lines = [item.strip() for item in done.out.splitlines() if "dr resume" in item]
    (line,) = [item for item in lines if "--pass-over" not in item]
    words = shlex.split(line)
    assert ["provisioner", "dr", "resume", "shop", *named] == words
    (root / "go").touch()
    assert 0 == program(words[1:])
    capsys.readouterr()
    with closing(sqlite3.connect("a b.db")) as connection, connection:
        far = ProcessIdentity.current()._replace(host="far", machine="m", boot="b")
        connection.execute(
            "UPDATE runs SET ended = NULL, outcome = NULL, process = ?", (json.dumps(far),)
        )
    status = stored.cli("dr", "status", *named).out.splitlines()
    assert [
        f"  provisioner dr {verb} shop --take-over {shlex.join(named)}"
        for verb in ("resume", "cancel")
    ] == [line for line in status if "--take-over" in line]
    said = refused(stored.cli("dr", "resume", *named, "--json"))
    assert ("PRV7002", "a b.db-journal" in said["detail"]) == (said["code"], True)
    for verb in ("resume shop --take-over", "cancel shop"):
        assert f"'provisioner dr {verb} {shlex.join(named)}'" in said["hint"]


def test_a_killed_run_goes_on_where_the_plan_and_its_journal_were_taken(
    stored: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = f"{PLAN}\nsteps: [{{name: slow, when: before, tier: 1, modes: [migrate], " + (
        "prompt: 'Go on?'}]"
    )
    declare(stored.cli, {"RecoveryPlan/shop": slow})
    stored("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    process = stored.cli.start("dr", "migrate", *STORED, "--yes", "--json")
    await_question(stored)
    process.kill()
    process.communicate(timeout=30)
    taken = stored.cli.root / "taken"
    taken.mkdir()
    for name in ("shop.plan", JOURNAL, "ops.pub", "east-1.jsonl", "west-1.jsonl"):
        shutil.move(stored.cli.root / name, taken / name)
    monkeypatch.chdir(taken)
    stored.cli.root = taken
    again = stored.cli.start("dr", "resume", *STORED, "--json")
    await_question(stored)
    assert "step/slow" == stored("dr", "answer", "shop", "yes", *STORED)["task"]
    again.communicate(timeout=30)
    assert (0, ["db", "web"]) == (again.returncode, stored.running("west"))


def await_question(sites: Sites) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = sites.cli("dr", "status", *STORED, "--json").json or {"tasks": ()}
        if any(task["asks"] for task in status["tasks"]) and not status["orphaned"]:
            return
        time.sleep(0.1)
    raise AssertionError("nothing asks")


def test_a_stored_plan_is_checked_where_it_is_kept(
    stored: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = stored.cli.root / "kept"
    kept.mkdir()
    for name in ("shop.plan", "ops.pub", "east-1.jsonl", "west-1.jsonl"):
        shutil.move(stored.cli.root / name, kept / name)
    monkeypatch.chdir(kept)
    assert stored("dr", "check", *STORED)["ready"]
    (kept / "west-1.jsonl").unlink()
    plan = checked(stored)
    assert ("shop", ["east", "west"], 1) == (plan["plan"], plan["sites"], stored.code)
    assert {"PRV7052", "PRV7056"} <= {item["code"] for item in plan["findings"]}
    (kept / "ops.pub").write_text("")
    assert 1 == stored.cli("dr", "check", *STORED).code


def checked(sites: Sites) -> dict[str, Any]:
    """What the check of the stored plan says of it."""
    found = sites("dr", "check", *STORED)["plans"]
    assert isinstance(found, list)
    (plan,) = found
    assert isinstance(plan, dict)
    return plan


def test_the_journal_of_a_stored_plan_tells_of_its_drills(stored: Sites) -> None:
    declare(stored.cli, {"RecoveryPlan/shop": f"{PLAN}\ndrillEvery: 30d"})
    stored("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    codes = []
    for command in ("test", "cleanup"):
        codes.append([item["code"] for item in checked(stored)["findings"]])
        stored("dr", command, *STORED)
    assert [["PRV7058"], []] == codes


OWN = """\
groups: [{group: GROUP}]
machines: [{machine: MACHINE}]
fencing: [{command: {argv: ['true']}, timeout: 1m}]"""


@pytest.fixture
def two_plans(sites: Sites) -> str:
    """A plan for each of two machines, of which one has moved; returns its journal."""
    web = POLICIES["ProtectionGroup/shop"].replace("app: shop", "app: web")
    plans = {
        name: OWN.replace("GROUP", group).replace("MACHINE", machine)
        for name, group, machine in (("shop", "shop", "db"), ("site", "web", "web"))
    }
    declare(
        sites.cli,
        {
            "VirtualMachine/web": RESOURCES["VirtualMachine/web"].replace("app: shop", "app: web"),
            "ProtectionGroup/web": web.replace("\nexcludeDisks: [{disk: db-scratch}]", ""),
            **{f"RecoveryPlan/{name}": plan for name, plan in plans.items()},
        },
    )
    assert 0 == sites.cli("apply", "--yes").code
    sites("replicate", "run")
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    return str(next((sites.cli.root / ".provisioner").glob("*/recovery/shop.db")))


def test_the_journal_of_another_plan_is_refused(sites: Sites, two_plans: str) -> None:
    for command in (
        ("test", "site"),
        ("failover", "site", "--yes"),
        ("failback", "site", "--yes"),
        ("reprotect", "site", "--yes"),
        ("plan", "site", "failover"),
        ("status", "site"),
        ("history", "site"),
        ("report", "site", "--unsigned"),
        ("cancel", "site"),
    ):
        done = sites.cli("dr", *command, "--journal", two_plans, "--json")
        assert (command, 1, ["PRV7101"]) == (command, done.code, done.codes)
    assert (["web"], ["batch", "db"]) == (sites.running("east"), sites.running("west"))


def test_the_journal_alone_says_which_plan_it_is_of(sites: Sites, two_plans: str) -> None:
    assert 0 == sites.cli("dr", "status", "--journal", two_plans).code
