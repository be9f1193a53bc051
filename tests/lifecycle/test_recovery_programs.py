"""The programs that a recovery plan runs where it is carried out: found by a check as by the run,
and carried along by a stored plan.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites

FROM = ("--from", "shop.plan", "--trusted", "ops.pub")
FENCED = PLAN.replace("['true']", "[./checks/fence, west]")


def script(sites: Sites, path: str = "checks/fence") -> Path:
    """A program of the stack's that notes what it was told."""
    found = sites.cli.root / path
    found.parent.mkdir(exist_ok=True)
    found.write_text(f'#!/bin/sh\necho "$1 $PROVISIONER_PLAN" >> {sites.cli.root}/fenced\n')
    found.chmod(0o755)
    return found


def compiled(sites: Sites, plan: str) -> dict[str, Any]:
    """A stored plan, and copies; returns what the command said."""
    declare(sites.cli, {"RecoveryPlan/shop": plan})
    sites("replicate", "run")
    sites("dr", "key", "ops")
    return dict(sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops"))


def elsewhere(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The other site, with the stored plan and the key alone; the stack is gone."""
    kept = sites.cli.root / "kept"
    kept.mkdir()
    for name in ("shop.plan", "ops.pub", "east-1.jsonl", "west-1.jsonl"):
        shutil.move(sites.cli.root / name, kept / name)
    shutil.rmtree(sites.cli.root / "checks", ignore_errors=True)
    monkeypatch.chdir(kept)
    return kept


def missing(sites: Sites, *arguments: str) -> list[str]:
    """What a check says of programs, and nothing else is an error."""
    found: Any = sites("dr", "check", *arguments)["plans"]
    errors = [item for item in found[0]["findings"] if item["severity"] == "error"]
    assert {"PRV7122"} >= {item["code"] for item in errors}
    return [item["summary"] for item in errors]


def test_a_check_looks_for_programs_as_a_run_does(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = script(sites)
    gates = "health: {command: {argv: [no-such-program]}}"
    compiled(sites, FENCED.replace("tier: 1}", f"tier: 1, {gates}}}"))
    health = (
        "the health of VirtualMachine/db needs the program 'no-such-program', which cannot be run "
        "here: it is in no folder of PATH"
    )
    assert [health] == missing(sites, "shop")
    fence.chmod(0o644)
    why = f"which cannot be run here: {fence} is not executable"
    assert [f"the fencing needs the program './checks/fence', {why}", health] == missing(
        sites, "shop"
    )
    fence.unlink()
    assert 2 == len(missing(sites, "shop"))
    (sites.cli.root / "kept").mkdir()
    monkeypatch.chdir(sites.cli.root / "kept")
    script(sites)
    assert [health] == missing(sites, "shop", "--stack", "..")


def test_what_a_machine_asks_of_another_has_its_program_looked_for(sites: Sites) -> None:
    script(sites)
    asked = "{machine: db, health: {command: {argv: [no-such-program]}}}"
    compiled(sites, FENCED.replace("after: [{machine: db}]", f"after: [{asked}]"))
    (found,) = missing(sites, "shop")
    assert found.startswith("the health of VirtualMachine/db for VirtualMachine/web needs")


def noting(sites: Sites, word: str, code: int) -> None:
    script(sites).write_text(f"#!/bin/sh\necho {word} >> {sites.cli.root}/fenced\nexit {code}\n")


def test_a_run_goes_on_with_the_programs_that_it_began_with(sites: Sites) -> None:
    noting(sites, "first", 0)
    compiled(sites, FENCED)
    for command in ("test", "cleanup"):
        assert "succeeded" == sites("dr", command, *FROM)["outcome"]
    again = ("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    noting(sites, "mended", 1)
    sites(*again)
    assert "stopped" == sites("dr", "failover", *FROM, "--yes")["outcome"]
    declare(sites.cli, {"RecoveryPlan/shop": FENCED.replace("tier: 2", "tier: 3")})
    sites(*again)
    sites("dr", "resume", *FROM)
    assert ["mended", "mended"] == (sites.cli.root / "fenced").read_text().split()


def test_an_argument_of_any_length_is_no_file(sites: Sites) -> None:
    script(sites)
    compiled(sites, PLAN.replace("['true']", f"[sh, -c, 'echo {'x' * 5000}']"))
    assert 0 == sites.code


@pytest.mark.parametrize("interpreter", ["/bin/no-such-shell", "/usr/bin/env no-such-shell"])
def test_a_script_whose_interpreter_is_missing(sites: Sites, interpreter: str) -> None:
    script(sites).write_text(f"#!{interpreter}\n")
    compiled(sites, FENCED)
    (found,) = missing(sites, "shop")
    assert "no-such-shell" in found


def test_a_stored_plan_carries_the_programs_of_its_stack_along(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(sites)
    assert ["./checks/fence"] == compiled(sites, FENCED)["programs"]
    kept = elsewhere(sites, monkeypatch)
    private = kept / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    assert [] == missing(sites, *FROM)
    assert "succeeded" == sites("dr", "failover", *FROM, "--yes")["outcome"]
    assert "west shop\n" == (sites.cli.root / "fenced").read_text()
    assert [] == list(private.iterdir())


def test_what_a_stored_plan_does_not_carry_along_is_told(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(sites)
    (sites.cli.root / "hosts.txt").write_text("west-1\n")
    gates = "health: {command: {argv: [../outside/check, hosts.txt]}}"
    plan = FENCED.replace("./checks/fence", "./checks/gone")
    declare(sites.cli, {"RecoveryPlan/shop": plan.replace("tier: 1}", f"tier: 1, {gates}}}")})
    sites("replicate", "run")
    sites("dr", "key", "ops")
    done = sites.cli("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    assert (0, 3) == (done.code, done.err.count("warning[PRV7122]"))
    for what in ("the program './checks/gone'", "'../outside/check'", "the file 'hosts.txt'"):
        assert what in done.err
    kept = elsewhere(sites, monkeypatch)
    assert 2 == len(missing(sites, *FROM))
    script(sites)
    shutil.copytree(sites.cli.root / "checks", kept / "checks")
    shutil.move(kept / "checks" / "fence", kept / "checks" / "gone")
    (found,) = missing(sites, *FROM)
    assert "../outside/check" in found
