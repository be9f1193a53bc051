"""What a journal of runs is believed, and what it is not: whose runs it has, and what is carried
out by whoever names a stored plan, which is only what a trusted key signed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.values import canonical_json
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.documents import plan_of
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys
from provisioner.workflows.recovery.tenure import Tenure
from provisioner.workflows.runbook import Runbook
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import declare, two_running_sites
from tests.lifecycle.recoveryprogram import PLAN, Sites

STORED = ("--from", "shop.plan", "--trusted", "ops.pub")
JOURNAL = "shop.plan.runs.db"
OF_A_RUN = (
    ("resume",),
    ("rollback", "--yes"),
    ("failover", "--yes"),
    ("failback", "--yes"),
    ("status",),
    ("history",),
    ("answer", "yes"),
    ("cancel",),
    ("report", "--unsigned"),
)


def fence(path: Path, *, fails: bool = True) -> str:
    """The plan with a fence that leaves a trace."""
    end = "; exit 1" if fails else ""
    return PLAN.replace("['true']", f"[sh, -c, 'echo fenced >> {path}{end}']")


def times(path: Path) -> int:
    """How often that fence was begun."""
    return len(path.read_text().splitlines()) if path.exists() else 0


def beside_state(root: Path) -> Path:
    (state,) = (root / ".provisioner").glob("*")
    return state / "recovery" / "shop.db"


def store(cli: CommandLine, name: str = "shop.plan", key: str = "ops") -> None:
    if not (cli.root / key).exists():
        assert 0 == cli("dr", "key", key).code
    assert 0 == cli("dr", "compile", "shop", "-o", name, "--key", key).code


class Two(Sites):
    """Another estate with a plan of the same name; ``strange`` is the journal of the first one, in
    which a failover has stopped at the fence that writes ``trace``.
    """

    strange: Path
    trace: Path


@pytest.fixture
def two(sites: Sites, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Two:
    trace, other = sites.cli.root / "trace", sites.cli.root / "other"
    declare(sites.cli, {"RecoveryPlan/shop": fence(trace)})
    sites("replicate", "run")
    assert 5 == sites.cli("dr", "failover", "shop", "--yes").code
    assert 1 == times(trace)
    other.mkdir()
    monkeypatch.chdir(other)

    def capture() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    found = Two(CommandLine(other, capture))
    two_running_sites(found.cli, {"RecoveryPlan/shop": PLAN})
    found.strange, found.trace = beside_state(sites.cli.root), trace
    return found


@pytest.mark.parametrize("command", OF_A_RUN, ids=lambda command: command[0])
def test_the_journal_of_another_estate_is_refused_with_a_stored_plan(
    two: Two, command: tuple[str, ...]
) -> None:
    store(two.cli)
    shutil.copy(two.strange, two.cli.root / JOURNAL)
    verb, *rest = command
    named = STORED[:2] if verb == "report" else STORED
    done = two.cli("dr", verb, "shop", *rest, *named, "--json")
    assert (1, ["PRV7101"], 1) == (done.code, done.codes, times(two.trace))
    assert "shop of another estate" in done.err


@pytest.mark.parametrize("command", OF_A_RUN, ids=lambda command: command[0])
def test_and_by_the_name_of_the_plan(two: Two, command: tuple[str, ...]) -> None:
    verb, *rest = command
    done = two.cli("dr", verb, "shop", *rest, "--journal", two.strange, "--json")
    assert (1, ["PRV7101"], 1) == (done.code, done.codes, times(two.trace))


def test_and_where_it_lies_beside_the_state(two: Two) -> None:
    beside_state(two.cli.root).parent.mkdir()
    shutil.copy(two.strange, beside_state(two.cli.root))
    assert "PRV7101" in two.cli("dr", "check", "shop", "--json").codes
    for command in ("resume", "plan"):
        rest = ["failover"] if command == "plan" else []
        assert ["PRV7101"] == two.cli("dr", command, "shop", *rest, "--json").codes
    assert 1 == times(two.trace)


def test_nor_is_its_open_run_told_of_where_a_stored_plan_counts(two: Two) -> None:
    store(two.cli)
    beside_state(two.cli.root).parent.mkdir()
    shutil.copy(two.strange, beside_state(two.cli.root))
    alter(beside_state(two.cli.root), "UPDATE runs SET ended = NULL, outcome = NULL")
    assert "has not ended" not in two.cli("dr", "cleanup", *STORED).err


def test_a_journal_that_does_not_say_whose_it_is_counts_by_the_name_of_its_plan(
    sites: Sites,
) -> None:
    sites("replicate", "run")
    assert "succeeded" == sites("dr", "test", "shop")["outcome"]
    alter(beside_state(sites.cli.root), "DROP TABLE owner")
    assert "succeeded" == sites("dr", "cleanup", "shop")["outcome"]
    with closing(sqlite3.connect(beside_state(sites.cli.root))) as connection:
        assert [("shop",)] == connection.execute("SELECT name FROM owner").fetchall()


def alter(journal: Path, *statements: str) -> None:
    with closing(sqlite3.connect(journal)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def stopped(sites: Sites) -> Sites:
    """A failover by a stored plan that has stopped at its fence; the plan is another one since."""
    trace = sites.cli.root / "trace"
    sites("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": fence(trace)})
    store(sites.cli)
    assert 5 == sites.cli("dr", "failover", *STORED, "--yes").code
    assert 1 == times(trace)
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    return sites


def test_what_a_run_began_with_is_gone_on_with_as_it_was_signed(stopped: Sites) -> None:
    store(stopped.cli)
    done = stopped.cli("dr", "resume", *STORED)
    assert "the plan has changed since the run began" in done.out
    assert (5, 2) == (done.code, times(stopped.cli.root / "trace"))


def test_and_by_the_name_of_the_plan_where_the_manifests_are(stopped: Sites) -> None:
    stopped.cli("dr", "resume", "shop", "--journal", JOURNAL)
    assert 2 == times(stopped.cli.root / "trace")


def test_but_not_where_nobody_signed_it_who_is_trusted(stopped: Sites) -> None:
    store(stopped.cli, key="new")
    done = stopped.cli("dr", "resume", "--from", "shop.plan", "--trusted", "new.pub", "--json")
    assert (1, ["PRV7111"]) == (done.code, done.codes)
    assert "signed by a key that is not trusted" in done.err
    assert 1 == times(stopped.cli.root / "trace")


def test_nor_where_what_was_signed_is_older_than_allowed(sites: Sites) -> None:
    root, now = sites.cli.root, datetime.now(UTC)
    declare(sites.cli, {"RecoveryPlan/shop": fence(root / "trace")})
    store(sites.cli)
    plan = storing.read(root / "shop.plan", TrustedKeys.read(root / "ops.pub"), now).plan
    old = replace(plan, compiled=now - timedelta(days=31))
    storing.write(old, SigningKey.read(root / "ops"), root / "shop.plan")
    sites("replicate", "run")
    assert 5 == sites.cli("dr", "failover", *STORED, "--allow-age", "--yes").code
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    store(sites.cli)
    done = sites.cli("dr", "resume", *STORED, "--json")
    assert (1, ["PRV7111"]) == (done.code, done.codes)
    assert "--allow-age" in done.err
    assert 5 == sites.cli("dr", "resume", *STORED, "--allow-age").code
    assert 2 == times(root / "trace")
    report = " ".join(sites.cli("dr", "report", *STORED[:2]).out.split())
    assert f"--allow-age: the stored plan kept in {JOURNAL} is too old" in report


def test_a_run_that_was_begun_by_name_goes_on_by_a_stored_plan_that_says_the_same(
    sites: Sites,
) -> None:
    sites("replicate", "run")
    trace = sites.cli.root / "trace"
    declare(sites.cli, {"RecoveryPlan/shop": fence(trace)})
    sites.cli("dr", "failover", "shop", "--yes")
    store(sites.cli)
    journal = ("--journal", beside_state(sites.cli.root))
    assert 5 == sites.cli("dr", "resume", *STORED, *journal).code
    assert 2 == times(trace)
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    store(sites.cli)
    for command in ("resume", "rollback"):
        done = sites.cli("dr", command, *STORED, *journal, "--yes", "--json")
        assert (1, ["PRV7110"]) == (done.code, done.codes)
        assert f"'provisioner dr {command} shop --journal {journal[1]}'" in done.err
    assert 2 == times(trace)


def rewritten(journal: Path, change: Callable[[dict[str, Any]], object], *, plan: bool) -> None:
    """Somebody changes the steps of the only run, and what its ``plan`` says, so that all that the
    journal has fits together.
    """
    with closing(sqlite3.connect(journal)) as connection, connection:
        ((packed,),) = connection.execute("SELECT document FROM runbooks").fetchall()
        document = json.loads(zlib.decompress(packed))
        if plan:
            ((packed,),) = connection.execute("SELECT document FROM bases").fetchall()
            base = json.loads(zlib.decompress(packed))
            change(base)
            wanted = fingerprint(plan_of(base))
            document["tasks"][0]["arguments"]["plan"] = wanted
            connection.execute(
                "UPDATE bases SET digest = ?, document = ?",
                (wanted, zlib.compress(canonical_json(base).encode())),
            )
            connection.execute("UPDATE signed_bases SET digest = ?", (wanted,))
        change(document)
        connection.execute("PRAGMA foreign_keys = OFF")
        found = Runbook.of(document).digest
        packed = zlib.compress(canonical_json(document).encode())
        connection.execute("UPDATE runbooks SET digest = ?, document = ?", (found, packed))
        connection.execute("UPDATE runs SET digest = ?", (found,))


def another_command(document: dict[str, Any]) -> None:
    """In a plan, or in the steps of a run."""
    items = [document["fencing"][0]] if "fencing" in document else document["tasks"]
    for item in items:
        if "argv" in item["arguments"].get("arguments", item["arguments"]):
            item["arguments"].get("arguments", item["arguments"])["argv"] = ["touch", "owned"]


@pytest.mark.parametrize(("plan", "code"), [(True, "PRV7111"), (False, "PRV7112")])
def test_what_was_altered_in_a_journal_is_not_carried_out(
    stopped: Sites, plan: bool, code: str
) -> None:
    rewritten(stopped.cli.root / JOURNAL, another_command, plan=plan)
    done = stopped.cli("dr", "resume", *STORED, "--json")
    assert (1, [code]) == (done.code, done.codes)
    assert not (stopped.cli.root / "owned").exists()


def test_nor_is_a_fence_passed_by_that_was_taken_out(stopped: Sites) -> None:
    def without_fence(document: dict[str, Any]) -> None:
        gone = {"fence/1"}
        tasks = [task for task in document["tasks"] if task["id"] not in gone]
        for task in tasks:
            task["needs"] = [item for item in task["needs"] if item not in gone]
            task["after"] = [item for item in task["after"] if item not in gone]
        document["tasks"] = tasks

    journal = stopped.cli.root / JOURNAL
    rewritten(journal, without_fence, plan=False)
    alter(journal, "DELETE FROM log WHERE task = 'fence/1'")
    done = stopped.cli("dr", "resume", *STORED, "--json")
    assert (1, ["PRV7112"]) == (done.code, done.codes)
    assert "fence/1" in done.err
    assert ["db", "web"] == stopped.running("east")


def test_steps_that_are_exchanged_while_hosts_are_asked_are_not_carried_out(
    stopped: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Tenure.__enter__

    def exchanging(self: Tenure) -> Tenure:
        rewritten(stopped.cli.root / JOURNAL, another_command, plan=False)
        return enter(self)

    monkeypatch.setattr(Tenure, "__enter__", exchanging)
    done = stopped.cli("dr", "resume", *STORED, "--json")
    assert (1, ["PRV7112"]) == (done.code, done.codes)
    assert not (stopped.cli.root / "owned").exists()


def test_whoever_has_nothing_to_resume_is_told_that_first(stopped: Sites) -> None:
    declare(stopped.cli, {"RecoveryPlan/shop": PLAN})
    store(stopped.cli)
    assert "succeeded" == stopped("dr", "failover", *STORED, "--yes")["outcome"]
    declare(stopped.cli, {"RecoveryPlan/shop": f"{PLAN}\nmaxAge: 3d"})
    store(stopped.cli)
    assert ["PRV7003"] == stopped.cli("dr", "resume", *STORED, "--json").codes
