"""A recovery plan has one run at a time, also where runs have journals of their own: the hosts know
of the one that is under way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lifecycle.commandline import SECONDS
from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites

WAITING = """
steps:
  - name: wait
    when: before
    modes: [migrate]
    command: {argv: [sh, -c, 'echo > begun; read line < go']}"""
STORED = ("--from", "shop.plan", "--trusted", "ops.pub")
MIGRATE = ("dr", "migrate", "shop", "--yes")
FAILOVER = ("dr", "failover", *STORED, "--yes")
HERE = ("-m", "provisioner")
ELSEWHERE = (
    "-c",
    """\
import sys
from provisioner.state.process import ProcessIdentity

us = ProcessIdentity.current()._replace(host="far", machine="far", boot="far")
ProcessIdentity.current = classmethod(lambda cls: us)
from provisioner.cli.main import run

sys.exit(run(sys.argv[1:]))
""",
)
"""The program, and the same as if it ran on a machine of which nothing can be seen from here."""


@pytest.fixture
def stored(sites: Sites) -> Sites:
    """Two sites and a stored plan, by which a migration waits before it begins."""
    declare(sites.cli, {"RecoveryPlan/shop": PLAN + WAITING})
    sites("replicate", "run")
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    for name in ("begun", "go"):
        os.mkfifo(sites.cli.root / name)
    return sites


@contextmanager
def migration(sites: Sites, program: tuple[str, ...] = HERE) -> Iterator[subprocess.Popen[str]]:
    """A migration by the plan's name, which is under way, and waits to be let :func:`go`."""
    pipe = subprocess.PIPE
    argv = [sys.executable, *program, *MIGRATE, "--json"]
    with subprocess.Popen(argv, cwd=sites.cli.root, stdout=pipe, stderr=pipe, text=True) as run:
        try:
            (sites.cli.root / "begun").read_text()
            yield run
        finally:
            run.kill()


def go(sites: Sites) -> None:
    (sites.cli.root / "go").write_text("on\n")


def test_another_run_is_refused_whatever_its_journal_is(stored: Sites) -> None:
    with migration(stored) as run:
        done = stored.cli(*FAILOVER, "--json")
        assert (1, ["PRV7113"], ["batch"]) == (done.code, done.codes, stored.running("west"))
        go(stored)
        run.communicate(timeout=SECONDS)
    assert (0, ["db", "web"]) == (run.returncode, stored.running("west"))
    assert not (stored.cli.root / "shop.plan.runs.db").exists()


def test_it_is_told_who_carries_the_other_one_out(stored: Sites) -> None:
    with migration(stored) as run:
        done = stored.cli(*FAILOVER, "--take-over", "--json")
        (said,) = [json.loads(line) for line in done.err.splitlines() if line[:1] == "{"]
    assert "a migration of shop is under way already" == said["summary"]
    assert f"(process {run.pid})" in said["detail"]
    assert "Its process lives on this machine." in said["detail"]
    journal = next((stored.cli.root / ".provisioner").glob("*/recovery/shop.db"))
    assert f"'provisioner dr status --journal {journal}'" in said["hint"]
    assert "--take-over" not in said["hint"]


def test_who_was_killed_is_in_nobodys_way(stored: Sites) -> None:
    with migration(stored) as run:
        run.kill()
        run.wait(SECONDS)
        assert "succeeded" == stored(*FAILOVER)["outcome"]
    assert ([], ["db", "web"]) == (stored.running("east"), stored.running("west"))


def test_one_that_cannot_be_seen_is_put_out_by_consent(stored: Sites) -> None:
    with migration(stored, ELSEWHERE) as run:
        done = stored.cli(*FAILOVER, "--json")
        assert (1, ["PRV7113"]) == (done.code, done.codes)
        assert "repeat the command with --take-over" in done.err
        assert "succeeded" == stored(*FAILOVER, "--take-over")["outcome"]
        _, err = run.communicate(timeout=SECONDS)
    codes = [json.loads(line)["code"] for line in err.splitlines() if line[:1] == "{"]
    assert (1, ["PRV7114"]) == (run.returncode, codes)
    status = stored("dr", "status", "shop")
    assert ("migrate", "stopped") == (status["mode"], status["outcome"])
    assert (["db", "web"], []) == (stored.running("west"), stored.running("east"))


MODES = {
    "test": ("dr", "test", *STORED),
    "cleanup": ("dr", "cleanup", *STORED),
    "migrate": ("dr", "migrate", *STORED, "--yes"),
}


@pytest.mark.parametrize("mode", MODES)
def test_so_is_a_run_of_any_mode(stored: Sites, mode: str) -> None:
    with migration(stored):
        done = stored.cli(*MODES[mode], "--json")
        assert (1, ["PRV7113"]) == (done.code, done.codes)


def test_what_was_interrupted_is_not_gone_on_with_beside_another_run(stored: Sites) -> None:
    declare(stored.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    stored("dr", "compile", "shop", "-o", "shop.plan", "--key", "ops")
    stored(*FAILOVER)
    declare(stored.cli, {"RecoveryPlan/shop": PLAN + WAITING})
    with migration(stored):
        done = stored.cli("dr", "resume", *STORED, "--json")
        assert (1, ["PRV7113"]) == (done.code, done.codes)


def test_a_host_that_is_away_is_in_nobodys_way_and_named(stored: Sites) -> None:
    path = stored.cli.root / "east-1.jsonl"
    path.rename(path.with_suffix(".lost"))
    path.mkdir()
    done = stored.cli(*FAILOVER)
    assert (0, ["db", "web"]) == (done.code, [m for m in stored.running("west") if m != "batch"])
    assert "east-1 gave no answer: whether another run of shop is under way" in done.out
