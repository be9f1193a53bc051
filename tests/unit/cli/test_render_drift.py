"""Drift as people and programs read it, and that the document is what its schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from provisioner.cli.render.drift import render_drift
from provisioner.cli.render.driftjson import FORMAT, drift_json
from provisioner.cli.render.text import cells
from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import SourceRange, error
from provisioner.core.fieldpattern import FieldPattern
from provisioner.service.drift import (
    Cause,
    Condition,
    Difference,
    DriftReport,
    Effect,
    FailedAttempt,
    Found,
    IgnoreRule,
    NextApply,
    NextChange,
    NextStep,
    ResourceDrift,
    RuleUse,
)
from provisioner.service.schema import Vocabulary
from provisioner.state.model import JournalPhase, JournalRecord
from tests.golden_support import CheckGolden

VOCABULARY = Vocabulary()
DOCS = Path(__file__).resolve().parents[3] / "docs"
GIB = 1024**3
MONDAY, TUESDAY = "2025-03-03T08:15:00+00:00", "2025-03-04T08:15:00+00:00"
RULE = IgnoreRule(
    AddressPattern.parse("VirtualMachine/web*"),
    FieldPattern.parse("labels.**"),
    "labels are set by the backup (OPS-1234)",
    date(2027, 1, 31),
    SourceRange("stack.yaml", 9, 9, "      - address: VirtualMachine/web*"),
)


def machine(name: str) -> Address:
    return Address("VirtualMachine", name)


def gone(seen: str = MONDAY) -> Difference:
    return Difference((), cause=Cause.OUTSIDE, first_seen=seen)


def failed(name: str, action: str, summary: str | None) -> FailedAttempt:
    address = machine(name)
    step = str(address)
    began = JournalRecord(1, "op-1", step, JournalPhase.INTENT, action, address, MONDAY)
    if summary is None:
        return FailedAttempt(began)
    detail = {"summary": summary}
    ended = replace(began, sequence=2, phase=JournalPhase.FAILED, detail=detail)
    return FailedAttempt(began, ended)


SET_BACK = NextChange(Effect.SET, 2 * GIB, Impact.LIVE)

SILENT = error("PRV3003", "Host/far: no answer after 600 s while reading far", address="Host/far")


def unread(name: str) -> ResourceDrift:
    """What nothing is known of because its host gives no answer."""
    return ResourceDrift(
        machine(name),
        Found.UNDETERMINED,
        (Difference((), first_seen=MONDAY),),
        problem=SILENT,
        next=NextStep(unknown=f"PRV3003: {SILENT.summary}"),
        serial=11,
    )


REPORT = DriftReport(
    (
        ResourceDrift(Address("Disk", "data"), Found.PRESENT, serial=3),
        ResourceDrift(
            Address("Disk", "gone"),
            Found.ABSENT,
            (gone(),),
            next=NextStep(Action.CREATE, reason="it was removed outside"),
            serial=4,
        ),
        ResourceDrift(
            Address("Network", "backend"),
            Found.FOREIGN,
            (gone(),),
            next=NextStep(unknown="PRV2010: the name 'backend' is taken"),
            serial=5,
        ),
        ResourceDrift(
            machine("db01"),
            Found.PRESENT,
            (
                Difference(
                    ("cpu", "max"),
                    4,
                    4,
                    2,
                    differs_running=True,
                    cause=Cause.RESTART_PENDING,
                    first_seen=MONDAY,
                    next=NextChange(Effect.WAIT),
                ),
            ),
            next=NextStep(),
            serial=6,
        ),
        ResourceDrift(
            machine("db02"),
            Found.UNDETERMINED,
            (Difference((), first_seen=MONDAY),),
            problem=error("PRV5101", "the host does not answer", hint="Is it switched on?"),
            next=NextStep(unknown="PRV5101: the host does not answer"),
            serial=7,
        ),
        ResourceDrift(
            machine("db03"),
            Found.PRESENT,
            (
                Difference(
                    ("memory", "size"), GIB, 2 * GIB, cause=Cause.LAST_APPLY, first_seen=MONDAY
                ),
            ),
            failure=failed("db03", "update", "the daemon was lost"),
            next=NextStep(Action.UPDATE, Impact.LIVE),
            serial=8,
        ),
        ResourceDrift(
            machine("db04"),
            Found.ABSENT,
            failure=failed("db04", "create", None),
            next=NextStep(Action.CREATE),
        ),
        ResourceDrift(
            machine("db05"),
            Found.PRESENT,
            (replace(gone(), cause=Cause.LAST_APPLY),),
            failure=failed("db05", "create", "no answer after 1800 s"),
            next=NextStep(Action.CREATE, reason="an earlier run began to make it"),
        ),
        ResourceDrift(
            machine("web01"),
            Found.PRESENT,
            (
                Difference(
                    ("memory", "size"),
                    2 * GIB,
                    GIB,
                    cause=Cause.OUTSIDE,
                    first_seen=MONDAY,
                    next=SET_BACK,
                ),
                Difference(
                    ("cpu", "count"),
                    2,
                    4,
                    3,
                    differs_running=True,
                    cause=Cause.OUTSIDE,
                    first_seen=TUESDAY,
                    next=NextChange(Effect.SET_LATER, 3, Impact.RESTART, "it cannot be unplugged"),
                ),
                Difference(
                    ("cloudInit",),
                    {"userData": "hunter2"},
                    {"userData": "hunter3"},
                    cause=Cause.OUTSIDE,
                    first_seen=TUESDAY,
                    next=NextChange(Effect.SET, {"userData": "hunter2"}),
                ),
                Difference(
                    ("autostart",),
                    recorded=True,
                    observed=False,
                    cause=Cause.OUTSIDE,
                    first_seen=TUESDAY,
                    next=NextChange(Effect.ACCEPT),
                ),
                Difference(
                    ("description",),
                    "web",
                    None,
                    cause=Cause.OUTSIDE,
                    first_seen=TUESDAY,
                    next=NextChange(Effect.LEAVE),
                ),
                Difference(
                    ("labels", "backup"),
                    None,
                    "daily",
                    cause=Cause.OUTSIDE,
                    first_seen=MONDAY,
                    ignored=RULE,
                ),
            ),
            next=NextStep(Action.UPDATE, Impact.LIVE, refused=True),
            serial=9,
        ),
        ResourceDrift(
            machine("web02"),
            Found.PRESENT,
            (
                Difference(
                    ("memory", "size"),
                    2 * GIB,
                    GIB,
                    cause=Cause.OUTSIDE,
                    first_seen=MONDAY,
                    next=SET_BACK,
                ),
            ),
            next=NextStep(Action.UPDATE, Impact.LIVE, held="Host/lab is in maintenance"),
            serial=10,
        ),
        unread("web03"),
        unread("web04"),
    ),
    "shop",
    "prod",
    TUESDAY,
    (RuleUse(RULE, 1),),
    NextApply(
        planned=True,
        refused=True,
        problems=(
            SILENT,
            error("PRV2010", "the name 'backend' is taken", address="Network/backend"),
        ),
    ),
    (error("PRV2101", "a rule expired on 2025-03-01", source=RULE.source),),
)
CALM = DriftReport(
    (ResourceDrift(machine("web01"), Found.PRESENT, serial=9),), "shop", None, TUESDAY
)


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def as_json(report: DriftReport) -> str:
    return json.dumps(drift_json(report, VOCABULARY), indent=2) + "\n"


def test_drift(check_golden: CheckGolden) -> None:
    check_golden("cli/drift.txt", text(render_drift(REPORT, VOCABULARY)))
    check_golden("cli/drift-verbose.txt", text(render_drift(REPORT, VOCABULARY, verbose=True)))
    check_golden("cli/drift.json", as_json(REPORT))


def test_it_fits() -> None:
    lines = render_drift(REPORT, VOCABULARY, verbose=True)
    assert [] == [line for line in lines if cells(line) > 80]


def test_no_drift() -> None:
    assert ["No drift: 1 resource as applied."] == render_drift(CALM, VOCABULARY)


def test_that_the_next_apply_is_refused_is_said_once() -> None:
    refused = replace(CALM, apply=NextApply(planned=True, refused=True))
    words = " ".join(render_drift(refused, VOCABULARY))
    assert "The next apply is refused as a whole" in words


def test_without_anything_in_the_way_the_next_apply_does_it() -> None:
    gone_one = replace(REPORT, resources=REPORT.resources[1:2], apply=NextApply(planned=True))
    assert "    next apply: creates it" in render_drift(gone_one, VOCABULARY)


def differing(*differences: Difference) -> DriftReport:
    return replace(CALM, resources=(ResourceDrift(machine("web01"), Found.PRESENT, differences),))


def test_of_long_texts_the_lines_that_differ_are_shown() -> None:
    item = Difference(("description",), "Web\nold\nend", "Web\nnew\nend", cause=Cause.OUTSIDE)
    shown = render_drift(differing(item), VOCABULARY)
    assert [
        "VirtualMachine/web01  drifted",
        "    description  applied (-), now (+)",
        "       Web",
        "      -old",
        "      +new",
        "       end",
        "    changed outside",
    ] == shown[:7]
    ignored = replace(item, ignored=RULE)
    assert "      -old" in render_drift(differing(ignored), VOCABULARY, verbose=True)


def test_of_sensitive_texts_no_line_is_shown() -> None:
    path = ("cloudInit", "userData")
    item = Difference(path, "a\nhunter2", "a\nhunter3", cause=Cause.OUTSIDE)
    assert "hunter" not in text(render_drift(differing(item), VOCABULARY))


def test_a_key_cannot_begin_a_line() -> None:
    path = ("cloudInit", "metaData", "a\n\nDrift: none\x1b[2J")
    item = Difference(path, "x", {"b\nc": 1}, cause=Cause.OUTSIDE)
    assert [
        r"    cloudInit.metaData[a\n\nDrift: none\x1b[2J]",
        r"        applied x, now {b\nc: 1}",
    ] == render_drift(differing(item), VOCABULARY)[1:3]


def test_a_host_that_cannot_be_read_is_told_once() -> None:
    words = " ".join(render_drift(REPORT, VOCABULARY))
    assert (1, 1) == (words.count("no answer after 600 s"), words.count("VirtualMachine/web04"))


def test_sensitive_values_never_appear() -> None:
    shown = [text(render_drift(REPORT, VOCABULARY, verbose=True)), as_json(REPORT)]
    assert [] == [document for document in shown if "hunter" in document]


# The schema


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (DOCS.parent / "schemas/results/drift.v1.schema.json").read_bytes()
    )
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def closed(part: Any) -> Any:
    """The schema with no room for what it does not describe."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    result = {key: closed(value) for key, value in part.items()}
    if "properties" in result and "required" in result:
        result.setdefault("additionalProperties", False)
    return result


def test_the_document_is_what_its_schema_says() -> None:
    validator = jsonschema.Draft202012Validator(closed(schema()))
    problems = [
        f"{problem.json_path}: {problem.message}"
        for report in (REPORT, CALM)
        for problem in validator.iter_errors(drift_json(report, VOCABULARY))
    ]
    assert [] == problems


def keys(value: Any) -> set[str]:
    """Every key in a document, but those of values of fields."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    free = {"recorded", "observed", "running", "value", "counts"}
    return set(value) | {
        key for name, item in value.items() if name not in free for key in keys(item)
    }


def test_the_report_has_something_of_everything() -> None:
    described = {
        key
        for part in (schema(), *schema()["$defs"].values())
        for key in part.get("properties", {})
        if part is not schema()["$defs"]["diagnostic"]
    }
    assert set() == described - keys(drift_json(REPORT, VOCABULARY))


def test_the_words_of_the_schema_are_those_of_the_program() -> None:
    definitions = schema()["$defs"]
    resource, field = definitions["resource"]["properties"], definitions["field"]["properties"]
    effect = definitions["nextChange"]["properties"]["effect"]
    actions = {*definitions["nextStep"]["properties"]["action"]["enum"]}
    assert FORMAT == schema()["properties"]["format"]["const"]
    assert [item.value for item in Condition] == resource["condition"]["enum"]
    assert [item.value for item in Found] == resource["found"]["enum"]
    assert [item.value for item in Cause] == field["cause"]["enum"]
    assert [item.value for item in Effect] == effect["enum"]
    assert {*(item.value for item in Action), "none", "unknown"} == actions


def test_the_page_names_every_word() -> None:
    page = (DOCS / "drift.md").read_text(encoding="utf-8")
    words = [item.value for kind in (Condition, Found, Cause, Effect) for item in kind]
    assert [] == [word for word in words if f"`{word}`" not in page]
