"""What a plan does about protected machines that run at their other site: it holds, and asks there
first. The journal of the recovery plan is elsewhere here, as it is for a pipeline.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.providers.api import Context, Endpoint
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import POLICIES, RESOURCES, declare, two_sites
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.scenario import Scenario

POWERED = {
    f"VirtualMachine/{name}": RESOURCES[f"VirtualMachine/{name}"] + "\npower: running"
    for name in ("db", "web")
}
ONLY_EAST = ("--exclude", "*/*-west", "--exclude", "VirtualMachine/batch")
"""What a plan can be made of while west is silent."""
DB = POWERED["VirtualMachine/db"] + "\ncpu: {max: 4}"
RUNS = "it runs at Site/west (Host/west-1), and would run twice"


def manifests(cli: CommandLine, changes: Mapping[str, str] | None = None) -> None:
    declare(cli, {"RecoveryPlan/shop": PLAN, **POWERED, **(changes or {})})


@pytest.fixture
def failed_over(sites: Sites) -> Sites:
    """East was lost, and is back: its machines are off, and bear no mark."""
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    sites("replicate", "run")
    sites.outside("east").power_off()
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    sites.outside("east").come_back()
    assert ([], ["db", "web"]) == (sites.running("east"), sites.running("west"))
    return sites


@pytest.fixture
def pipeline(failed_over: Sites) -> Sites:
    """It has the manifests and the state, and knows nothing of the failover."""
    forget_journals(failed_over.cli.root)
    return failed_over


def forget_journals(root: Path) -> None:
    """What ran here before is forgotten."""
    (folder,) = root.rglob("recovery")
    shutil.rmtree(folder)


def silence(cli: CommandLine, site: str = "west") -> None:
    """Nothing answers there any more."""
    place = cli.root / f"{site}-1.jsonl"
    place.unlink()
    place.mkdir()


def held(sites: Sites, *options: str) -> dict[str, str]:
    """What a plan holds, and why; it does nothing else."""
    plan = sites.cli("plan", "--json", *options).json
    assert [] == plan["steps"]
    return {step["id"]: step["held"] for step in plan["held"]}


def test_what_runs_at_the_other_site_is_held(pipeline: Sites) -> None:
    assert {"VirtualMachine/db": RUNS, "VirtualMachine/web": RUNS} == held(pipeline)
    assert 4 == pipeline.cli("plan", "--detailed-exitcode").code


def test_an_apply_starts_nothing_beside_its_copy(pipeline: Sites) -> None:
    pipeline.cli("apply", "--yes")
    assert ([], ["db", "web"]) == (pipeline.running("east"), pipeline.running("west"))


def test_it_is_held_where_its_journal_is(failed_over: Sites) -> None:
    found = held(failed_over)
    assert {"VirtualMachine/db", "VirtualMachine/web"} == found.keys()
    assert "the recovery plan shop runs at Site/west since" in found["VirtualMachine/db"]


def test_drift_tells_that_it_is_held(pipeline: Sites) -> None:
    found = {
        item["address"]: (item["condition"], item["next"]["held"])
        for item in pipeline.cli("drift", "--json").json["resources"]
        if "next" in item
    }
    assert ("held", RUNS) == found["VirtualMachine/db"]


def test_disks_that_have_become_copies_are_not_made_anew(failed_over: Sites) -> None:
    assert "succeeded" == failed_over("dr", "reprotect", "shop", "--yes")["outcome"]
    forget_journals(failed_over.cli.root)
    found = held(failed_over)
    assert {"Disk/db-data", "Disk/web-root", *POWERED} == found.keys()
    assert f"VirtualMachine/db has it: {RUNS}" == found["Disk/db-data"]


def test_after_a_failback_there_is_nothing_to_do(failed_over: Sites) -> None:
    assert "succeeded" == failed_over("dr", "reprotect", "shop", "--yes")["outcome"]
    assert "succeeded" == failed_over("dr", "failback", "shop", "--yes")["outcome"]
    assert {} == held(failed_over)
    forget_journals(failed_over.cli.root)
    assert {} == held(failed_over)


# Replicated disks


STOPPED = {machine: spec.replace("running", "stopped") for machine, spec in POWERED.items()}
"""Nothing is to be done about the machines themselves."""


def test_a_disk_is_not_made_where_its_machine_has_no_step(pipeline: Sites) -> None:
    manifests(pipeline.cli, STOPPED)
    pipeline.outside("east").remove("Disk", "web-root")
    assert {"Disk/web-root": f"VirtualMachine/web has it: {RUNS}"} == held(pipeline)


def test_a_disk_is_not_replaced_where_its_machine_has_no_step(pipeline: Sites) -> None:
    smaller = RESOURCES["Disk/db-data"].replace("2GiB", "1GiB")
    manifests(pipeline.cli, {**STOPPED, "Disk/db-data": smaller})
    assert {"Disk/db-data": f"VirtualMachine/db has it: {RUNS}"} == held(pipeline)


DATA = RESOURCES["Disk/db-data"] + "\nretention: delete"
OTHER = {
    "Disk/db-data": "",
    "Disk/db-new": "pool: pool-east\nsize: 1GiB",
}
LOSS = ("--allow-data-loss", "Disk/db-data")


def test_a_disk_that_its_machine_is_to_lose_is_not_removed(pipeline: Sites) -> None:
    manifests(pipeline.cli, {**STOPPED, "Disk/db-data": DATA})
    assert 0 == pipeline.cli("apply", "--yes").code
    db = STOPPED["VirtualMachine/db"].replace("db-data", "db-new")
    manifests(pipeline.cli, {**STOPPED, **OTHER, "VirtualMachine/db": db})
    has = f"VirtualMachine/db has it: {RUNS}"
    expected = {"Disk/db-data": has, "Disk/db-new": has, "VirtualMachine/db": RUNS}
    assert expected == held(pipeline, *LOSS, "--max-impact", "replace")


def test_a_disk_is_not_removed_with_everything_else(pipeline: Sites) -> None:
    manifests(pipeline.cli, {**STOPPED, "Disk/db-data": DATA})
    assert 0 == pipeline.cli("apply", "--yes").code
    done = pipeline.cli("destroy", "--yes", *LOSS, "--json")
    assert 4 == done.code
    plan = pipeline.cli("plan", "--destroy", "--json", *LOSS).json
    found = {step["id"]: step["held"] for step in plan["held"]}
    assert f"VirtualMachine/db has it: {RUNS}" == found["Disk/db-data"]
    assert pipeline.outside("east").find("Disk", "db-data") is not None


def test_a_disk_of_a_machine_that_runs_here_is_removed(sites: Sites) -> None:
    manifests(sites.cli, {"Disk/db-data": DATA})
    assert 0 == sites.cli("apply", "--yes").code
    silence(sites.cli)
    db = POWERED["VirtualMachine/db"].replace("db-data", "db-new")
    manifests(sites.cli, {**OTHER, "VirtualMachine/db": db})
    done = sites.cli("apply", "--yes", *ONLY_EAST, *LOSS, "--max-impact", "replace")
    assert 0 == done.code
    assert sites.outside("east").find("Disk", "db-data") is None


PROMOTED = "its Disk/web-root is at Site/west (Host/west-1), promoted for it: "


@pytest.fixture
def half_done(pipeline: Sites) -> Sites:
    """The failover has promoted the disks of web, and came no further."""
    pipeline.outside("west").change("VirtualMachine", "web", ("power",), "stopped")
    pipeline.outside("west").remove("VirtualMachine", "web")
    return pipeline


def test_nothing_starts_here_whose_disks_were_promoted_over_there(half_done: Sites) -> None:
    assert held(half_done)["VirtualMachine/web"].startswith(PROMOTED)


def test_a_disk_that_was_promoted_over_there_is_not_made_anew(half_done: Sites) -> None:
    manifests(half_done.cli, STOPPED)
    half_done.outside("east").remove("Disk", "web-root")
    (found,) = held(half_done).items()
    assert "Disk/web-root" == found[0]
    assert found[1].startswith(f"VirtualMachine/web has it: {PROMOTED}")


def test_a_plan_file_is_refused_if_the_disks_were_promoted_by_now(sites: Sites) -> None:
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    sites("replicate", "run")
    sites.outside("east").power_off()
    sites.outside("east").come_back()
    sites.cli("plan", "-o", "start.plan")
    sites.outside("east").power_off()
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    for name in ("db", "web"):
        sites.outside("west").change("VirtualMachine", name, ("power",), "stopped")
        sites.outside("west").remove("VirtualMachine", name)
    sites.outside("east").come_back()
    done = sites.cli("apply", "start.plan", "--json")
    assert (3, ["PRV7150", "PRV7150"]) == (done.code, done.codes)


# The other site is silent


@pytest.fixture
def alone(sites: Sites) -> Sites:
    """Somebody has stopped the machines, and west does not answer."""
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    for name in ("db", "web"):
        sites.outside("east").change("VirtualMachine", name, ("power",), "stopped")
    silence(sites.cli)
    return sites


def test_nothing_is_started_while_nobody_can_tell(alone: Sites) -> None:
    found = held(alone, *ONLY_EAST)
    assert POWERED.keys() == found.keys()
    why = found["VirtualMachine/db"]
    assert why.startswith("Host/west-1 of Site/west cannot be asked whether it runs there (")
    assert why.endswith("start it deliberately with --trust-site west")
    alone.cli("apply", "--yes", *ONLY_EAST)
    assert [] == alone.running("east")


def test_somebody_who_knows_that_the_site_is_off_starts_it(alone: Sites) -> None:
    assert 0 == alone.cli("apply", "--yes", *ONLY_EAST, "--trust-site", "west").code
    assert ["db", "web"] == alone.running("east")


def test_a_plan_file_remembers_which_site_is_off(alone: Sites) -> None:
    shown = alone.cli("plan", *ONLY_EAST, "--trust-site", "west", "-o", "start.plan").out
    assert "Site/west was said to be off (--trust-site)" in shown
    for form in ("--markdown", "--html"):
        assert "Site/west was said to be off" in alone.cli("show", "start.plan", form).out
    done = alone.cli("apply", "start.plan", "--trust-site", "west")
    assert 1 == done.code
    assert "so --trust-site cannot" in done.err
    assert 0 == alone.cli("apply", "start.plan").code
    assert ["db", "web"] == alone.running("east")


def test_a_site_that_is_trusted_to_be_off_has_to_be_one(alone: Sites) -> None:
    done = alone.cli("plan", *ONLY_EAST, "--trust-site", "wets", "--json")
    assert (1, ["PRV7151"]) == (done.code, done.codes)


def test_a_site_that_answers_is_believed_more_than_who_says_that_it_is_off(pipeline: Sites) -> None:
    assert dict.fromkeys(POWERED, RUNS) == held(pipeline, "--trust-site", "west")


def test_a_machine_that_runs_here_is_restarted_although_nobody_answers(sites: Sites) -> None:
    manifests(sites.cli, {"VirtualMachine/db": DB})
    assert 0 == sites.cli("apply", "--yes", "--max-impact", "restart").code
    silence(sites.cli)
    manifests(sites.cli, {"VirtualMachine/db": DB.replace("max: 4", "max: 8")})
    done = sites.cli("apply", "--yes", *ONLY_EAST, "--max-impact", "restart")
    assert (0, ["db", "web"]) == (done.code, sites.running("east"))


def test_drift_tells_that_nobody_can_tell(alone: Sites) -> None:
    report = alone.cli("drift", "--json").json
    (found,) = (item for item in report["resources"] if item["address"] == "VirtualMachine/db")
    assert "held" == found["condition"]
    assert "cannot be asked whether it runs there" in found["next"]["held"]


def test_a_machine_that_is_made_for_the_first_time_needs_no_proof(sites: Sites) -> None:
    silence(sites.cli)
    manifests(
        sites.cli,
        {
            "VirtualMachine/mail": "metadata.labels: {app: shop}\nplacement: {host: east-1}\n"
            "memory: {size: 1GiB}\ndisks: [{disk: mail}]",
            "Disk/mail": "pool: pool-east\nsize: 1GiB",
            "RecoveryPlan/shop": "",
        },
    )
    plan = sites.cli("plan", "--json", *ONLY_EAST, "--target", "VirtualMachine/mail").json
    assert (["Disk/mail", "VirtualMachine/mail"], []) == (
        [step["id"] for step in plan["steps"]],
        plan["held"],
    )


# What is not held


def test_what_stands_by_over_there_starts_here(failed_over: Sites) -> None:
    """After the way there and back both sites have a machine, and west's is marked."""
    failed_over("dr", "reprotect", "shop", "--yes")
    failed_over("dr", "failback", "shop", "--yes")
    failed_over.outside("east").change("VirtualMachine", "db", ("power",), "stopped")
    assert failed_over.outside("west").find("VirtualMachine", "db") is not None
    failed_over.cli("apply", "--yes")
    assert ["db", "web"] == failed_over.running("east")


def test_a_machine_that_was_shut_down_over_there_without_a_mark_is_held(pipeline: Sites) -> None:
    pipeline.outside("west").change("VirtualMachine", "db", ("power",), "stopped")
    assert (
        "it is at Site/west (Host/west-1), stopped, without the mark of what stands by there"
        in (held(pipeline)["VirtualMachine/db"])
    )


def test_what_starts_nothing_is_done(pipeline: Sites) -> None:
    stopped = {
        machine: spec.replace("power: running", "power: stopped\ndescription: off")
        for machine, spec in POWERED.items()
    }
    manifests(pipeline.cli, stopped)
    plan = pipeline.cli("plan", "--json").json
    assert (["VirtualMachine/db", "VirtualMachine/web"], []) == (
        [step["id"] for step in plan["steps"]],
        plan["held"],
    )


# Between plan and apply


def test_a_plan_file_is_refused_if_the_machine_runs_over_there_by_now(sites: Sites) -> None:
    manifests(sites.cli)
    sites.cli("apply", "--yes")
    sites("replicate", "run")
    sites.outside("east").power_off()
    sites.outside("east").come_back()
    sites.cli("plan", "-o", "start.plan")
    sites.outside("east").power_off()
    assert "succeeded" == sites("dr", "failover", "shop", "--yes")["outcome"]
    sites.outside("east").come_back()
    done = sites.cli("apply", "start.plan", "--json")
    assert (3, ["PRV7150", "PRV7150"]) == (done.code, done.codes)
    assert [] == sites.running("east")


# Who is asked


class Counting(MemoryProvider):
    """Knows which hosts were connected to."""

    opened: list[str]

    def open(self, endpoint: Endpoint, context: Context) -> MemorySession:
        """See :class:`provisioner.providers.api.Provider`."""
        self.opened.append(endpoint.name)
        return super().open(endpoint, context)


@pytest.fixture
def counted(tmp_path: Path) -> Scenario:
    """An applied stack whose connections are counted."""
    scenario = two_sites(tmp_path, {**POWERED, "VirtualMachine/db": DB})
    scenario.provider = Counting()
    opened(scenario)
    scenario.apply()
    return scenario


def opened(scenario: Scenario) -> list[str]:
    """The hosts that were connected to since this was asked last."""
    provider = scenario.provider
    assert isinstance(provider, Counting)
    found, provider.opened = getattr(provider, "opened", []), []
    return found


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"VirtualMachine/db": DB}, ["east-1"]),
        ({"VirtualMachine/db": f"{DB}\ndescription: new"}, ["east-1"]),
        (
            {
                "VirtualMachine/db": DB,
                "Disk/db-data": RESOURCES["Disk/db-data"].replace("2GiB", "3GiB"),
            },
            ["east-1"],
        ),
        ({"VirtualMachine/db": DB.replace("max: 4", "max: 8")}, ["east-1", "west-1"]),
    ],
)
def test_the_other_site_is_asked_only_where_something_starts(
    counted: Scenario, change: Mapping[str, str], asked: list[str]
) -> None:
    declare(counted, {**POWERED, **change})
    opened(counted)
    counted.plan(target=["VirtualMachine/db"], max_impact="restart")
    assert asked == opened(counted)


def test_nobody_is_asked_about_a_machine_that_no_group_protects(counted: Scenario) -> None:
    unprotected = dict.fromkeys(POLICIES, "")
    declare(
        counted, {**POWERED, **unprotected, "VirtualMachine/db": DB.replace("max: 4", "max: 8")}
    )
    opened(counted)
    plan = counted.plan(target=["VirtualMachine/db"], max_impact="restart")
    assert (["east-1"], ["VirtualMachine/db"]) == (
        opened(counted),
        [step.id for step in plan.steps],
    )


def test_a_disk_alone_is_not_made_under_a_machine_that_is_away(pipeline: Sites) -> None:
    pipeline.outside("east").remove("Disk", "web-root")
    only = ("--target", "Disk/web-root", "--target", "StoragePool/pool-east")
    assert {"Disk/web-root": f"VirtualMachine/web has it: {RUNS}"} == held(pipeline, *only)
