"""Drift, recorded state, graphs, events and reports as people and programs read them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from provisioner.cli.progress import PlainLines
from provisioner.cli.render.events import progress_text, render_event
from provisioner.cli.render.graph import graph_json, render_dot, render_mermaid, render_text
from provisioner.cli.render.report import render_report
from provisioner.cli.render.show import render_resource, render_stack, resource_json, stack_json
from provisioner.cli.render.state import (
    render_entries,
    render_entry,
    render_history,
    render_journal,
    render_lock,
)
from provisioner.cli.render.text import cells
from provisioner.cli.terminal import Terminal
from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.diagnostics import SourceRange, error
from provisioner.engine.apply import ApplyReport
from provisioner.engine.events import (
    Event,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepKept,
    StepProgress,
    StepRetrying,
    StepSkipped,
    StepStarted,
)
from provisioner.manifest.model import Declaration, HostDeclaration, Stack
from provisioner.service.graph import Dependencies
from provisioner.service.schema import Vocabulary
from provisioner.service.show import ResourceView, StackView
from provisioner.state.model import (
    Entry,
    JournalPhase,
    JournalRecord,
    LockHolder,
    OperationRecord,
    State,
)
from tests.golden_support import CheckGolden
from tests.unit.cli import plans

VOCABULARY = Vocabulary()
GIB = 1024**3
WEB = Address("VirtualMachine", "web01")
NETWORK = Address("Network", "backend")
LINEAGE = UUID("c0ffee00-0000-4000-8000-000000000000")

ENTRY = Entry(
    address=WEB,
    provider="kvm",
    endpoint="lab",
    name="web01",
    uid=UUID("3b241101-e2bb-4255-8caf-4136c566a962"),
    external_id="3b241101-e2bb-4255-8caf-4136c566a962",
    spec={
        "memory": {"size": 2 * GIB},
        "cloudInit": {
            "userData": "hunter2",
            "networkConfig": {"secretRef": "env://NETWORK_CONFIG"},
        },
    },
    outputs={"addresses": ["10.20.0.11"], "mac": {"lan": "52:54:00:12:34:56"}},
    dependencies=(NETWORK,),
    protect=True,
    pending=("cpu.max",),
    applied_at="2025-03-01T12:00:00.123456+00:00",
    serial=41,
)
STACK = Stack(
    name="shop",
    root=Path("/shop"),
    environment="prod",
    declarations={
        NETWORK: Declaration(NETWORK, {"mode": "nat"}, SourceRange("network.yaml", 1, 1), "lab"),
        WEB: Declaration(
            WEB,
            {"memory": {"size": 2 * GIB}, "cloudInit": {"userData": "hunter2"}},
            SourceRange("web.yaml", 3, 1),
            "lab",
            protect=True,
        ),
    },
    hosts={"lab": HostDeclaration("lab", "kvm", {}, SourceRange("host.yaml", 1, 1))},
    files=("host.yaml", "network.yaml", "stack.yaml", "web.yaml"),
)
GRAPH = Dependencies(
    "shop",
    "prod",
    {NETWORK: "lab", WEB: "lab"},
    frozenset(["lab"]),
    {NETWORK: (), WEB: (NETWORK,)},
    ((NETWORK,), (WEB,)),
)


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def as_json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def test_graphs(check_golden: CheckGolden) -> None:
    check_golden("cli/graph.txt", text(render_text(GRAPH)))
    check_golden("cli/graph.dot", text(render_dot(GRAPH)))
    check_golden("cli/graph.mermaid", text(render_mermaid(GRAPH)))
    check_golden("cli/graph.json", as_json(graph_json(GRAPH)))


def test_state(check_golden: CheckGolden) -> None:
    other = Entry(NETWORK, "kvm", "lab", "backend", ENTRY.uid, "x", {})
    check_golden("cli/state-list.txt", text(render_entries([other, ENTRY])))
    check_golden("cli/state-show.txt", text(render_entry(ENTRY, VOCABULARY)))


def test_history(check_golden: CheckGolden) -> None:
    began = "2025-03-01T12:00:00.123456+00:00"
    operations = [
        OperationRecord("20250301T120000Z-2", "apply", "ada@desk (process 7)", began, None, None),
        OperationRecord(
            "20250301T110000Z-1",
            "apply",
            "ada@desk (process 5)",
            began,
            began,
            "partial",
            {"done": 3, "failed": 1, "skipped": 0},
        ),
    ]
    check_golden("cli/state-history.txt", text(render_history(operations)))


def operation(kind: str, summary: dict[str, object]) -> OperationRecord:
    at = "2025-03-01T12:00:00.123456+00:00"
    return OperationRecord(f"{kind}-1", kind, "ada@desk (process 5)", at, at, "done", summary)


@pytest.mark.parametrize(
    ("kind", "summary", "told"),
    [
        ("apply", {"done": 3, "failed": 0, "abandoned": 2}, "3 done, 2 abandoned"),
        ("restore", {}, ""),
        ("revert", {"to": "Snapshot/before"}, "to: Snapshot/before"),
        (
            "forget",
            {"forgotten": [f"Disk/d{n}" for n in range(12)]},
            "12 forgotten: Disk/d0, Disk/d1, Disk/d2 and 9 more",
        ),
    ],
)
def test_history_tells_who_did_what_when_and_to_what(
    kind: str, summary: dict[str, object], told: str
) -> None:
    _, *lines = render_history([operation(kind, summary)])
    words = " ".join(" ".join(lines).split())
    expected = f"2025-03-01 12:00:00 {kind} done ada@desk {kind}-1 {told}".rstrip()
    assert expected == words


LONG = "x" * 60


def long_entries() -> list[Entry]:
    named = [replace(ENTRY, address=Address("Disk", f"{LONG}-{n}"), name="there") for n in (10, 2)]
    plain = [replace(ENTRY, address=Address("VirtualMachine", LONG), name=LONG)]
    return [*named, *plain]


def test_lists_fit_and_count_as_people_do() -> None:
    entries = long_entries()
    view = StackView(STACK, State(LINEAGE, 41, {entry.address: entry for entry in entries}))
    lists = [render_entries(entries), render_stack(view)]
    assert [] == [line for lines in lists for line in lines if cells(line) > 80]
    for lines in lists:
        shown = [line.partition(" ")[0] for line in lines if line.startswith("Disk/")]
        assert [f"Disk/{LONG}-2", f"Disk/{LONG}-10"] == shown


def test_a_list_says_what_an_object_is_called_only_where_that_is_news() -> None:
    header, *lines = render_entries([replace(ENTRY, name="other"), ENTRY])
    assert "NAME THERE" in header
    assert 1 == sum("other" in line for line in lines)
    assert "NAME" not in render_entries([ENTRY])[0]


def test_one_resource_fits() -> None:
    spec = {"description": "word " * 40, "labels": {LONG: "y" * 30}}
    entry = replace(ENTRY, spec=spec)
    declaration = replace(STACK.declarations[WEB], spec=spec)
    resource = ResourceView(WEB, declaration, entry, (NETWORK,), ())
    lines = [*render_entry(entry, VOCABULARY), *render_resource(resource, VOCABULARY)]
    assert [] == [line for line in lines if cells(line) > 80]


def test_journal(check_golden: CheckGolden) -> None:
    at = "2025-03-01T12:00:00.5+00:00"
    records = [
        JournalRecord(1, "op", str(WEB), JournalPhase.INTENT, "create", WEB, at, {"uid": "x"}),
        JournalRecord(
            2, "op", str(WEB), JournalPhase.FAILED, "create", WEB, at, {"summary": "pool full"}
        ),
    ]
    check_golden("cli/state-journal.txt", text(render_journal(records)))


def test_lock() -> None:
    moment = datetime(2025, 3, 1, 12, tzinfo=UTC)
    holder = LockHolder("ada@desk (process 7)", "apply", moment, moment, "a1b2c3")
    lines = render_lock(holder)
    assert "ada@desk (process 7)" in lines[0]
    assert "since 2025-03-01 12:00:00 (UTC), leased until 2025-03-01 12:00:00 (UTC)." == lines[1]
    assert "a1b2c3" in lines[-1]
    assert ["The state is not locked."] == render_lock(None)


def test_show(check_golden: CheckGolden) -> None:
    entries = {WEB: ENTRY, Address("Disk", "old"): ENTRY}
    view = StackView(STACK, State(LINEAGE, 41, entries))
    check_golden("cli/show-stack.txt", text(render_stack(view)))
    check_golden("cli/show-stack.json", as_json(stack_json(view)))
    resource = ResourceView(WEB, STACK.declarations[WEB], ENTRY, (NETWORK,), ())
    check_golden("cli/show-resource.txt", text(render_resource(resource, VOCABULARY)))
    check_golden("cli/show-resource.json", as_json(resource_json(resource, VOCABULARY)))


def test_sensitive_values_never_appear() -> None:
    resource = ResourceView(WEB, STACK.declarations[WEB], ENTRY, (), ())
    shown = [
        text(render_entry(ENTRY, VOCABULARY)),
        text(render_resource(resource, VOCABULARY)),
        as_json(resource_json(resource, VOCABULARY)),
    ]
    assert [] == [document for document in shown if "hunter" in document]


EVENTS: list[Event] = [
    PhaseStarted("observe", 12),
    PhaseStarted("apply", 3),
    StepStarted("Disk/data", "create", "Disk/data"),
    StepProgress("Disk/data", "uploading", 30 * 1024**2, 300 * 1024**2),
    StepRetrying("Disk/data", "Disk/data", 2, 4.0, error("PRV5102", "the pool is busy")),
    StepFinished("Disk/data", "create", "Disk/data", 2.34, ("cpu.max waits for a restart",)),
    StepFailed(str(WEB), "create", str(WEB), 0.5, error("PRV5103", "out of \x1b[31mmemory")),
    StepSkipped(str(NETWORK), "delete", str(NETWORK), f"{WEB} was not carried out"),
    StepStarted("Image/base#old", "delete", "Image/base"),
    StepKept("Image/base#old", "delete", "Image/base", "It is used by volume pool/root."),
]


def test_events(check_golden: CheckGolden) -> None:
    lines = [line for event in EVENTS for line in render_event(event)]
    check_golden("cli/events.txt", text(lines))


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (0, 0, "uploading"),
        (1, 3, "uploading, 33%"),
        (150 * 1024**2, 300 * 1024**2 + 5, "uploading, 49% of 300MiB"),
    ],
)
def test_progress_text(done: int, total: int, expected: str) -> None:
    assert expected == progress_text(StepProgress("Disk/d", "uploading", done, total))


def test_plain_lines_tell_progress_by_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    sink = PlainLines(Terminal({}), steps=True)
    for done in range(1001):
        sink(StepProgress("Disk/d", "uploading", done, 1000))
    assert 11 == len(capsys.readouterr().out.splitlines())


def test_plain_lines_of_a_plan_stay_out_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    sink = PlainLines(Terminal({}), steps=False)
    sink(PhaseStarted("observe", 12))
    captured = capsys.readouterr()
    assert ("", "Observing 12 resources\n") == (captured.out, captured.err)


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("done", ApplyReport("op", done=("a", "b"))),
        ("nothing", ApplyReport(None)),
        (
            "partial",
            ApplyReport(
                "op",
                done=("Network/backend",),
                failed=("Disk/data",),
                skipped=("VirtualMachine/web01",),
                kept=("Image/base#old",),
                held=("VirtualMachine/vault",),
                problems=(error("PRV5103", "pool full"),),
            ),
        ),
        (
            "stopped",
            ApplyReport("op", skipped=("Disk/a",), abandoned=("Disk/b",), stopped=True),
        ),
    ],
)
def test_reports(name: str, report: ApplyReport, check_golden: CheckGolden) -> None:
    check_golden(f"cli/report-{name}.txt", text(render_report(report, plans.creations())))


def test_a_report_says_why_steps_were_not_begun() -> None:
    """By what was at the root of it, and not one by one."""
    steps = [
        plans.step("StoragePool/pool", Action.CREATE),
        *(
            plans.step(f"Disk/d{n}", Action.CREATE, depends_on=("StoragePool/pool",))
            for n in range(10_000)
        ),
        plans.step("VirtualMachine/vm", Action.CREATE, depends_on=("Disk/d7",)),
        plans.step("Network/lan", Action.CREATE),
    ]
    skipped = tuple(step.id for step in steps[1:])
    report = ApplyReport("op", failed=("StoragePool/pool",), skipped=skipped, stopped=True)
    lines = render_report(report, plans.plan(*steps))
    words = " ".join(" ".join(lines).split())
    assert "because StoragePool/pool was not carried out: Disk/d0, Disk/d1," in words
    assert "Disk/d9 and 9,991 more." in words
    assert "because the run was stopped: Network/lan." in words
    assert len(lines) < 10


def test_a_report_says_where_kept_data_is() -> None:
    plan = plans.bookkeeping()
    report = ApplyReport("op", done=tuple(step.id for step in plan.steps))
    assert "Disk/kept (/srv/disks/kept-3b24.qcow2)." in " ".join(render_report(report, plan))
    assert "Disk/gone" not in " ".join(render_report(report, plan))


def test_a_report_says_what_ends_the_waiting_for_a_restart() -> None:
    plan = plans.deferred()
    report = ApplyReport("op", done=("VirtualMachine/db01",))
    words = " ".join(" ".join(render_report(report, plan)).split())
    assert "VirtualMachine/db01 and VirtualMachine/db02." in words
    assert "apply with --max-impact restart" in words
