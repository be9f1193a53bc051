"""``dr check``: whether recovery plans would work now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from provisioner.cli.render.diagnostics import render_diagnostics
from provisioner.cli.render.readiness import render_readiness
from provisioner.cli.render.text import plain
from provisioner.core.clock import Clock, Deadline, SystemClock
from provisioner.providers.api import Endpoint
from provisioner.service.recovery.checking import Readiness, check_readiness
from provisioner.service.recovery.compiling import compiled_plan
from provisioner.service.recovery.opening import FOLDER
from provisioner.service.recovery.storing import store_plan
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.recovery.actions import Estate, synchronise
from provisioner.workflows.recovery.signing import make_key
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.runs import Outcome, What
from provisioner_plugins.memory.outside import Outside
from tests.golden_support import CheckGolden
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.junit import read_junit
from tests.lifecycle.recovery import HOSTS, POLICIES, RESOURCES, declare, two_sites
from tests.lifecycle.scenario import Scenario

NO_DRILL = POLICIES["RecoveryPlan/shop"].replace("drillEvery: 30d\n", "")
EXCUSED = """
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {recovery: {excused: [{machine: bat*, reason: batches can wait}]}}
"""


class Later:
    """The clock of the machine, some time on."""

    def __init__(self, by: timedelta) -> None:
        self._by, self._clock = by, SystemClock()

    def now(self) -> datetime:
        return self._clock.now() + self._by

    def monotonic(self) -> float:
        return self._clock.monotonic()


def ready_made(
    root: Path, changes: Mapping[str, str] | None = None, *, drill: bool = True
) -> Scenario:
    """Two sites where nothing is missing, unless there are ``changes``; with a ``drill``."""
    scenario = two_sites(root, {"RecoveryPlan/shop": NO_DRILL, **(changes or {})})
    scenario.write("stack.yaml", EXCUSED)
    scenario.apply()
    replicate(scenario)
    if drill:
        drilled(scenario, SystemClock(), Outcome.SUCCEEDED)
    return scenario


def replicate(scenario: Scenario) -> None:
    """One recovery point of each machine."""
    workspace = scenario.workspace()
    plan = compiled_plan(workspace, "shop", scenario.events.append)
    with workspace.sessions(scenario.events.append) as sessions:
        for machine in plan.machines:
            synchronise(Estate(plan, sessions), machine, Deadline.after(20.0, workspace.clock))


def drilled(
    scenario: Scenario,
    clock: Clock,
    outcome: Outcome,
    *machines: str,
    last: What = What.DONE,
    there: str = "west",
) -> None:
    """Write a drill into the journal, of all machines unless some are named, which ended so."""
    path = scenario.workspace().state_path.parent / FOLDER / "shop.db"
    path.parent.mkdir(exist_ok=True)
    journal = Journal(path, clock=clock)
    starts = [
        Task(f"start/{name}", f"start {name}", "power-on", subject=f"VirtualMachine/{name}")
        for name in machines or ("db", "web")
    ]
    begin = Task("begin", "connect", "begin", {"there": there})
    run = journal.begin(Runbook("shop", "test", (begin, *starts)), "ada")
    for task in starts:
        carried_out = {"observed": False, "again": False}
        notes = [Note(What.BEGUN, task.id), Note(last, task.id, task.action, 2.0, carried_out)]
        journal.write(run.id, notes if last is not What.SKIPPED else notes[1:])
    journal.end(run.id, outcome)
    journal.close()


def check(scenario: Scenario, plan: str | None = None) -> Readiness:
    return check_readiness(scenario.workspace(), plan, scenario.events.append)


def said(scenario: Scenario, plan: str | None = None) -> list[tuple[str, str]]:
    return [(item.code, item.summary) for item in check(scenario, plan).found]


def west(scenario: Scenario) -> Outside:
    endpoint = Endpoint("west-1", "memory", {})
    return Outside(scenario.provider.inventory(endpoint, scenario.root))


def test_a_plan_that_would_work(tmp_path: Path) -> None:
    found = check(ready_made(tmp_path))
    assert ([], True) == (found.found, found.ready)
    assert ["RecoveryPlan/shop", "VirtualMachine/db", "VirtualMachine/web"] == found.subjects[:3]


def test_a_plan_without_fencing_and_without_a_drill(tmp_path: Path) -> None:
    plan = POLICIES["RecoveryPlan/shop"]
    fencing = next(line for line in plan.splitlines() if line.startswith("fencing"))
    changed = plan.replace(f"{fencing}\n", "")
    scenario = ready_made(tmp_path, {"RecoveryPlan/shop": changed}, drill=False)
    assert [
        ("PRV7050", "RecoveryPlan/shop has no fencing, so that it cannot fail over"),
        (
            "PRV7058",
            "there was no drill of RecoveryPlan/shop that succeeded yet, expected one every 30d",
        ),
    ] == said(scenario)


@pytest.mark.parametrize(
    ("days", "outcome", "codes"),
    [
        (29, Outcome.SUCCEEDED, []),
        (31, Outcome.SUCCEEDED, ["PRV7058"]),
        (1, Outcome.IN_PART, ["PRV7058"]),
    ],
)
def test_a_drill_counts_for_as_long_as_the_plan_says(
    tmp_path: Path, days: int, outcome: Outcome, codes: list[str]
) -> None:
    policies = {"RecoveryPlan/shop": POLICIES["RecoveryPlan/shop"]}
    scenario = ready_made(tmp_path, policies, drill=False)
    drilled(scenario, Later(-timedelta(days=days)), outcome)
    assert codes == [code for code, _ in said(scenario)]


def test_a_drill_that_was_cancelled_tells_only_of_what_it_came_to(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    drilled(scenario, SystemClock(), Outcome.CANCELLED, "web", last=What.SKIPPED)
    assert [] == said(scenario)
    drilled(scenario, SystemClock(), Outcome.CANCELLED, "db", last=What.INTERRUPTED)
    assert [] == said(scenario)


@pytest.mark.parametrize(
    ("plan", "said_of_drills"),
    [
        (NO_DRILL, "there was no drill of RecoveryPlan/shop to west yet"),
        (
            POLICIES["RecoveryPlan/shop"],
            "there was no drill of RecoveryPlan/shop to west that succeeded yet, expected one "
            "every 30d",
        ),
    ],
    ids=["wished", "demanded"],
)
def test_a_drill_that_led_the_other_way_proves_nothing_of_this_one(
    tmp_path: Path, plan: str, said_of_drills: str
) -> None:
    """It has booted what the other site had, in the networks of that site."""
    scenario = ready_made(tmp_path, {"RecoveryPlan/shop": plan}, drill=False)
    drilled(scenario, SystemClock(), Outcome.SUCCEEDED, there="east")
    (found,) = (item for item in check(scenario).found if item.code in ("PRV7058", "PRV7119"))
    assert said_of_drills == found.summary
    assert found.detail.startswith("The last drill led to east,")
    drilled(scenario, SystemClock(), Outcome.SUCCEEDED)
    assert [] == said(scenario)


def test_recovery_points_that_are_missing_or_too_old(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    scenario.clock = Later(timedelta(hours=3))
    assert [
        (
            "PRV7057",
            f"the newest recovery point of VirtualMachine/{name} is 3h old, expected at most 10m",
        )
        for name in ("db", "web")
    ] == said(scenario)


def test_machines_that_were_never_replicated(tmp_path: Path) -> None:
    scenario = two_sites(tmp_path, {"RecoveryPlan/shop": NO_DRILL})
    scenario.write("stack.yaml", EXCUSED)
    scenario.apply()
    drilled(scenario, SystemClock(), Outcome.SUCCEEDED)
    assert [
        ("PRV7056", f"there is no recovery point of VirtualMachine/{name}")
        for name in ("db", "web")
    ] == said(scenario)


def test_what_is_gone_or_off_at_the_other_site(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    west(scenario).remove("Network", "lan-west")
    west(scenario).change("StoragePool", "pool-west", ("active",), False)  # noqa: FBT003 - a value
    assert [
        ("PRV7052", "Network/lan-west is not on Host/west-1"),
        ("PRV7054", "StoragePool/pool-west is not active on Host/west-1"),
    ] == said(scenario)


def test_a_name_that_is_taken_at_the_other_site(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    west(scenario).add("VirtualMachine", "web", {"memory": {"size": 1}})
    assert [("PRV7053", "the name 'web' of VirtualMachine/web is taken on Host/west-1")] == said(
        scenario
    )


def test_a_site_that_does_not_answer_is_told_once(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    west(scenario).cut_off()
    (found,) = check(scenario).found
    assert "Host/west-1" == found.address


def test_a_machine_that_nobody_thought_of(tmp_path: Path) -> None:
    scenario = ready_made(tmp_path)
    lone = {"VirtualMachine/lone": "placement: {host: east-1}\nmemory: {size: 1GiB}"}
    declare(scenario, {"RecoveryPlan/shop": NO_DRILL, **lone})
    wanted = [("PRV7060", "VirtualMachine/lone is in no recovery plan")]
    assert (wanted, []) == (said(scenario), said(scenario, "shop"))


def test_a_machine_that_needs_one_which_stays_behind(tmp_path: Path) -> None:
    lone = "placement: {host: east-1}\nmemory: {size: 1GiB}"
    web = RESOURCES["VirtualMachine/web"] + "\ndescription: '${VirtualMachine/lone.uuid}'"
    scenario = ready_made(tmp_path, {"VirtualMachine/lone": lone, "VirtualMachine/web": web})
    assert [
        (
            "PRV7059",
            "VirtualMachine/web uses an output of VirtualMachine/lone, which no plan recovers",
        )
    ] == said(scenario, "shop")


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    data = "{secretRef: env://NOWHERE}"
    web = RESOURCES["VirtualMachine/web"] + f"\ncloudInit: {{userData: {data}}}"
    scenario = two_sites(tmp_path, {"RecoveryPlan/shop": NO_DRILL, "VirtualMachine/web": web})
    scenario.write("stack.yaml", EXCUSED)
    scenario.environ["NOWHERE"] = "known when it was applied"
    scenario.apply()
    replicate(scenario)
    drilled(scenario, SystemClock(), Outcome.SUCCEEDED)
    del scenario.environ["NOWHERE"]
    assert ["PRV1501"] == [code for code, _ in said(scenario)]


def test_what_keeps_a_plan_from_being_compiled_is_told_with_the_rest(tmp_path: Path) -> None:
    scenario = two_sites(tmp_path)
    codes = [code for code, _ in said(scenario, "shop")]
    assert ["PRV7031", "PRV7031", "PRV7058"] == codes


@pytest.fixture
def sites(cli: CommandLine) -> CommandLine:
    """The program with two sites that were applied, and nothing replicated."""
    hosts = HOSTS
    for name in ("east-1", "west-1"):
        hosts = hosts.replace(
            f"{{name: {name}}}\nspec: {{provider: memory}}",
            f"{{name: {name}}}\nspec: {{provider: memory, connection: {{path: {name}.jsonl}}}}",
        )
    cli.write("hosts.yaml", hosts)
    cli.write("host.yaml", "")
    cli.write("stack.yaml", EXCUSED)
    declare(cli, {"RecoveryPlan/shop": NO_DRILL})
    assert 0 == cli("apply", "--yes").code
    return cli


def test_the_command_for_people_and_for_programs(sites: CommandLine) -> None:
    done = sites("dr", "check")
    line = "RecoveryPlan/shop: 2 machines from east to west, not ready: 2 errors."
    assert (1, [line]) == (done.code, done.out.splitlines())
    data = sites("dr", "check", "shop", "--json").json
    codes = ["PRV7119", "PRV7121", "PRV7056", "PRV7056"]
    assert (False, ["east", "west"], codes) == (
        data["ready"],
        data["plans"][0]["sites"],
        [item["code"] for item in data["plans"][0]["findings"]],
    )


def test_how_it_is_said(tmp_path: Path, check_golden: CheckGolden) -> None:
    """Of everything that may be wrong, something."""
    plan = POLICIES["RecoveryPlan/shop"]
    fencing = next(line for line in plan.splitlines() if line.startswith("fencing"))
    lone = "placement: {host: east-1}\nmemory: {size: 1GiB}"
    web = RESOURCES["VirtualMachine/web"] + "\ndescription: '${VirtualMachine/lone.uuid}'"
    scenario = ready_made(
        tmp_path,
        {
            "RecoveryPlan/shop": plan.replace(f"{fencing}\n", ""),
            "VirtualMachine/lone": lone,
            "VirtualMachine/web": web,
        },
        drill=False,
    )
    scenario.clock = Later(timedelta(hours=3))
    west(scenario).remove("Network", "lan-west")
    west(scenario).change("StoragePool", "pool-west", ("active",), False)  # noqa: FBT003 - a value
    west(scenario).add("VirtualMachine", "web", {"memory": {"size": 1}})
    found = check(scenario)
    here = f" --stack {tmp_path}"
    said = [replace(item, hint=item.hint.replace(here, "")) for item in found.found]
    assert any(here in item.hint for item in found.found)
    lines = [*render_diagnostics(said, 100), "", *render_readiness(found, plain)]
    check_golden("recovery/check.txt", "\n".join(lines) + "\n")


def test_the_reports_of_a_pipeline(sites: CommandLine) -> None:
    sites("dr", "check", "--junit", "junit.xml", "--sarif", "check.sarif")
    report = read_junit(sites.root / "junit.xml")
    failed = [
        case.get("name") for case in report.iter("testcase") if case.find("failure") is not None
    ]
    assert ["VirtualMachine/db", "VirtualMachine/web"] == failed
    run = json.loads((sites.root / "check.sarif").read_text())["runs"][0]
    codes = ["PRV7119", "PRV7121", "PRV7056", "PRV7056"]
    assert codes == [item["ruleId"] for item in run["results"]]


def test_after_a_migration_the_plan_counts_the_other_way(tmp_path: Path) -> None:
    """The state still says where the machines were when they were applied."""
    scenario = ready_made(tmp_path)
    path = scenario.workspace().state_path.parent / FOLDER / "shop.db"
    path.parent.mkdir(exist_ok=True)
    journal = Journal(path)
    turn = Task("turn", "The machines run at the other site", "turn")
    begin = Task("begin", "connect", "begin", {"here": "east", "there": "west"})
    run = journal.begin(Runbook("shop", "migrate", (begin, turn)), "ada")
    done = {"result": {"here": "west"}}
    journal.write(run.id, [Note(What.BEGUN, "turn"), Note(What.DONE, "turn", detail=done)])
    journal.end(run.id, Outcome.SUCCEEDED)
    journal.close()
    make_key(tmp_path / "ops", "ops")
    file = tmp_path / "shop.dr"
    workspace = scenario.workspace()
    stored = store_plan(workspace, "shop", file, tmp_path / "ops", scenario.events.append)
    assert ("west", "east") == stored.plan.sites
    (found,) = check(scenario, "shop").plans
    assert found.plan is not None
    assert ("west", "east") == found.plan.sites
    # They are not there, whatever the journal says.
    missing = [
        item.summary.removesuffix(" is not on Host/west-1")
        for item in found.found
        if item.code == "PRV7052"
    ]
    assert ["Disk/db-data", "Disk/web-root", "VirtualMachine/db", "VirtualMachine/web"] == missing
