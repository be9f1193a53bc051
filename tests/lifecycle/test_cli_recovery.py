"""``provisioner dr`` and ``replicate``: whole runs, from the stack and from a signed file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites

MAIL = """\
metadata.labels: {app: shop}
placement: {host: east-1}
memory: {size: 1GiB}
disks: [{disk: mail-root}]
nics: [{name: lan, network: lan-east}]"""


def test_a_whole_life(sites: Sites) -> None:
    assert ["no recovery point"] * 2 == [
        item["trouble"] for item in sites.cli("replicate", "status", "--json").json
    ]
    done = sites("replicate", "run")["done"]
    assert isinstance(done, list)
    assert ["VirtualMachine/db", "VirtualMachine/web"] == [item["machine"] for item in done]
    assert 0 == sites.cli("replicate", "status").code
    assert "succeeded" == sites("dr", "test", "shop")["outcome"]
    assert ["drill-shop-db", "drill-shop-web"] == sites.running("west")
    assert "succeeded" == sites("dr", "cleanup", "shop")["outcome"]
    assert ["batch"] == sites.running("west")
    assert "succeeded" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    assert ([], ["db", "web"]) == (sites.running("east"), sites.running("west"))
    assert "succeeded" == sites("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "east" == sites.cli("replicate", "status", "--json").json[0]["site"]
    assert "succeeded" == sites("dr", "failback", "shop", "--yes")["outcome"]
    assert ["db", "web"] == sites.running("east")
    history = sites.cli("dr", "history", "shop", "--json").json
    expected = ["migrate", "reprotect", "migrate", "cleanup", "test"]
    assert expected == [run["mode"] for run in history]


def test_a_failover_from_a_file_with_the_old_site_its_state_and_the_manifests_gone(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sites.cli.root
    sites.outside("east").write("db", "order 1")
    sites("replicate", "run")
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    for name in ("shop.dr", "ops.pub", "west-1.jsonl"):
        shutil.move(root / name, elsewhere / name)
    for path in root.iterdir():
        if path != elsewhere:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.chdir(elsewhere)
    made = elsewhere / "east-1.jsonl"
    made.mkdir()  # nothing answers there
    run = sites("dr", "failover", "--from", "shop.dr", "--trusted", "ops.pub", "--yes")
    assert ("succeeded", 0) == (run["outcome"], sites.code)
    sites.cli.root = elsewhere
    assert ["db", "web"] == sites.running("west")
    assert (elsewhere / "shop.dr.runs.db").is_file()
    status = sites("dr", "status", "--from", "shop.dr")
    tasks = status["tasks"]
    assert isinstance(tasks, list)
    (chosen,) = (task["result"] for task in tasks if task["id"] == "choose/db")
    assert chosen["loss"] < 60


def test_refused_fencing_has_its_exit_code_and_starts_nothing(sites: Sites) -> None:
    sites.cli("replicate", "run")
    declare(sites.cli, {"RecoveryPlan/shop": PLAN.replace("['true']", "['false']")})
    done = sites.cli("dr", "failover", "shop", "--yes")
    assert (5, ["db", "web"]) == (done.code, sites.running("east"))
    assert not {"db", "web"} & set(sites.running("west"))
    assert "  Failed: fence east (1 of 1)." in done.out.splitlines()
    assert "was stopped by a failure" in done.out


def test_a_guest_that_never_comes_up_holds_its_branch_alone_and_is_named(sites: Sites) -> None:
    ill = "{machine: db, tier: 1, health: {command: {argv: ['false']}, timeout: 1s}}"
    plan = PLAN.replace("{machine: db, tier: 1}", f"{ill}, {{machine: mail, tier: 2}}")
    mail = {"VirtualMachine/mail": MAIL, "Disk/mail-root": "pool: pool-east\nsize: 1GiB"}
    declare(sites.cli, {**mail, "RecoveryPlan/shop": plan})
    sites.cli("apply", "--yes")
    sites.cli("replicate", "run")
    done = sites.cli("dr", "failover", "shop", "--yes")
    assert (6, ["db", "mail"]) == (done.code, sites.running("west"))
    told = done.out.splitlines()
    assert "  Failed: db: check it with a command." in told
    assert "  Held back: start web at west." in told
    assert "error[PRV7086]: VirtualMachine/db" in done.err


def test_nothing_is_done_without_a_yes(sites: Sites) -> None:
    for mode in ("migrate", "failover"):
        done = sites.cli("dr", mode, "shop", "--json")
        assert (1, ["PRV6002"]) == (done.code, done.codes)
    assert ["db", "web"] == sites.running("east")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["failback", "shop", "--yes"], "PRV7090"),
        (["reprotect", "shop", "--yes"], "PRV7091"),
        (["rollback", "shop", "--yes"], "PRV7093"),
        (["resume", "shop"], "PRV7003"),
        (["cancel", "shop"], "PRV7004"),
        (["answer", "shop", "yes"], "PRV7094"),
        (["test", "shop", "--point", "batch=1"], "PRV7089"),
        (["test"], "PRV6001"),
        (["test", "mail"], "PRV7030"),
    ],
)
def test_what_cannot_be_done_is_said(sites: Sites, arguments: list[str], code: str) -> None:
    done = sites.cli("dr", *arguments, "--json")
    assert (1, [code]) == (done.code, done.codes)


def test_a_plan_that_has_changed_does_not_change_what_a_run_began_with(sites: Sites) -> None:
    failing = f"{PLAN}\nsteps: [{{name: no, when: before, modes: [migrate], " + (
        "command: {argv: ['false']}}]"
    )
    declare(sites.cli, {"RecoveryPlan/shop": failing})
    assert "stopped" == sites("dr", "migrate", "shop", "--yes")["outcome"]
    declare(sites.cli, {"RecoveryPlan/shop": PLAN})
    done = sites.cli("dr", "resume", "shop")
    assert "gone on with as it was then" in done.out
    assert "error[PRV7085]" in done.err


def test_a_migration_waits_for_consents_of_different_people(sites: Sites) -> None:
    approved = f"{PLAN}\napprovals: [{{role: ops, count: 2}}, {{role: legal}}]"
    declare(sites.cli, {"RecoveryPlan/shop": approved})
    process = sites.cli.start("dr", "migrate", "shop", "--yes", "--json")
    wait_for(sites, "approve/ops/2")
    assert "approve/ops/1" == sites("dr", "answer", "shop", "approve/ops/1", "yes")["task"]
    for task in ("approve/ops/2", "approve/legal/1"):
        done = sites.cli("dr", "answer", "shop", task, "yes", "--json")
        assert (1, ["PRV7095"]) == (done.code, done.codes)
    assert "migrate" == sites("dr", "cancel", "shop")["mode"]
    process.communicate(timeout=30)
    assert "cancelled" == sites("dr", "status", "shop")["outcome"]
    assert ["db", "web"] == sites.running("east")


def test_a_killed_migration_is_resumed_from_another_process(sites: Sites) -> None:
    slow = f"{PLAN}\nsteps: [{{name: slow, when: before, tier: 1, modes: [migrate], " + (
        "prompt: 'Go on?'}]"
    )
    declare(sites.cli, {"RecoveryPlan/shop": slow})
    process = sites.cli.start("dr", "migrate", "shop", "--yes", "--json")
    wait_for(sites, "step/slow")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert sites("dr", "status", "shop")["orphaned"]
    assert "is left out" in str(sites("replicate", "run")["leftOut"])
    again = sites.cli.start("dr", "resume", "shop", "--json")
    wait_for(sites, "step/slow")
    sites("dr", "answer", "shop", "yes")
    again.communicate(timeout=30)
    assert "succeeded" == sites("dr", "status", "shop")["outcome"]
    assert ([], ["db", "web"]) == (sites.running("east"), sites.running("west"))


def test_watching_synchronises_again_and_again_until_it_is_stopped(sites: Sites) -> None:
    process = sites.cli.start("replicate", "watch", "shop", "--json")
    deadline = time.monotonic() + 30
    while any(item["trouble"] for item in sites.cli("replicate", "status", "--json").json):
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    (ages,) = [event["machines"] for event in events if event["event"] == "ages"]
    assert ["", ""] == [item["trouble"] for item in ages]
    assert 0 == process.returncode


def wait_for(sites: Sites, task: str) -> None:
    """Until a task of the run under way asks its question."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = sites.cli("dr", "status", "shop", "--json").json
        tasks = (status or {}).get("tasks", ())
        carried = status is not None and not status["orphaned"]
        if carried and any(item["id"] == task and item["asks"] for item in tasks):
            return
        time.sleep(0.1)
    raise AssertionError(f"{task} never asked")


def test_a_plan_of_the_stack_leaves_alone_what_runs_at_the_other_site(sites: Sites) -> None:
    sites("dr", "migrate", "shop", "--yes")
    sites("dr", "reprotect", "shop", "--yes")
    done = sites.cli("plan", "--json")
    held = {item["id"]: item["held"] for item in done.json["held"]}
    assert ([], ["Disk/db-data", "Disk/web-root"]) == (done.json["steps"], sorted(held))
    assert "the recovery plan shop runs at Site/west since" in held["Disk/db-data"]
    sites.cli("apply", "--yes")
    assert "succeeded" == sites("dr", "failback", "shop", "--yes")["outcome"]
    done = sites.cli("plan", "--json")
    assert ([], []) == (done.codes, done.json["steps"])
