"""The documents hold together: links lead somewhere, plans are what their schema says, and every
code of a diagnostic is documented once.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from provisioner.cli.render.diagnostics import render_diagnostic
from provisioner.cli.render.planjson import plan_document
from provisioner.cli.render.terraform import terraform_document
from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import SourceRange, warning
from provisioner.engine.plan import Kept, Plan, RestartPending
from provisioner.engine.planfile import plan_json, sealed
from provisioner.service.schema import Vocabulary
from tests.unit.cli import plans
from tests.unit.engine.made import Situation, declared, intent, ours, recorded
from tests.unit.manifest.stacks import BASE, errors_of

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder, pattern in (("", "*.md"), ("docs", "**/*.md"), ("stacks", "**/*.md"))
    for path in (ROOT / folder).glob(pattern)
)

# Links

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@cache
def anchors(path: Path) -> frozenset[str]:
    """The names under which a document's headings are reached, as GitHub makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return frozenset(names)


def leads_somewhere(document: Path, link: str) -> bool:
    """Whether a link in a document names a file of the project, and a heading of it if any."""
    file, _, anchor = unquote(link).partition("#")
    target = (ROOT / document.parent / file).resolve() if file else ROOT / document
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(CODE.sub("", prose(ROOT / document)))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [] == [link for link in inside if not leads_somewhere(document, link)]


def test_what_the_promises_name_is_there() -> None:
    """Tests and modules: a promise whose attack was renamed is one that nobody can check."""
    named = re.findall(
        r"`((?:tests|provisioner|scripts)/[\w./-]+)`",
        (ROOT / "docs/promises.md").read_text("utf-8"),
    )
    assert len(named) > 30
    assert [] == [path for path in named if not (ROOT / path).exists()]


def test_every_document_is_in_the_index() -> None:
    listed = set()
    for index in ("docs/README.md", "docs/decisions/README.md", "docs/manifests/index.md"):
        folder = (ROOT / index).parent
        for link in LINK.findall(prose(ROOT / index)):
            listed.add((folder / link.partition("#")[0]).resolve())
    documents = {ROOT / path for path in DOCUMENTS if path.parts[0] == "docs"}
    indexes = {path for path in documents if path.name in ("README.md", "index.md")}
    below = {ROOT / path for path in DOCUMENTS if path.parts[:2] == ("docs", "performance")}
    assert set() == documents - listed - indexes - below


# The diagnostic that the command line's document shows

TYPO = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web01}
spec:
  cpu: {count: 2}
  memroy: {size: 4GiB}
"""


def test_the_diagnostic_of_the_document_is_one_that_the_program_prints(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(BASE)
    (tmp_path / "web.yaml").write_text(TYPO)
    (found,) = errors_of(tmp_path)
    assert found.source is not None
    shown = replace(found, source=found.source._replace(file="web.yaml"))
    printed = "\n".join(f"    {line}" for line in render_diagnostic(shown))
    assert printed in (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


# Plans


def every_part() -> Plan:
    """A plan in which every key has a value."""
    declarations = (
        declared("Net/lan", {"mtu": 9000}),
        declared("Net/new", renamed_from="old"),
        declared("Pool/main"),
        declared("Disk/web", {"format": "raw"}, "Net/lan", "Pool/main"),
        declared(
            "Vm/web", {"bridge": {"$unknown": "Disk/web:path"}, "firmware": "b"}, "Disk/web:path"
        ),
        declared("Vm/safe", {"machine": "b"}, protect=True),
        declared("Vm/same", {"cpu": 1}),
    )
    entries = (
        recorded("Net/lan", {"mtu": 1500}, outputs={"bridge": "br0"}),
        recorded("Net/old"),
        recorded("Pool/main"),
        recorded("Disk/web", {"format": "qcow2"}, "Net/lan", "Pool/main"),
        recorded("Vm/web", {"bridge": "br0", "firmware": "b"}, "Disk/web"),
        recorded("Vm/safe", {"machine": "a"}),
        recorded("Vm/same"),
        recorded("Disk/kept", {"retention": "keep"}, "Net/lan"),
        recorded("Disk/gone"),
    )
    found = {
        "Net/lan": ours("Net/lan", {"mtu": 1500}),
        "Net/new": ours("Net/old"),
        "Pool/main": ours("Pool/main"),
        "Disk/web": ours("Disk/web", {"format": "qcow2"}),
        "Vm/web": ours("Vm/web", {"bridge": "br0", "firmware": "a"}, running={("firmware",): "a"}),
        "Vm/safe": ours("Vm/safe", {"machine": "a"}),
        "Vm/same": ours("Vm/same", {"cpu": 1}),
        "Disk/kept": ours("Disk/kept"),
        "Disk/gone": ours("Disk/gone"),
        "Disk/web#7": ours("Disk/web", generation=7),
    }
    left = (intent("Disk/web", "delete", generation=7),)
    plan = Situation(declarations, entries, found, left).plan(consents=(Address("Disk", "web"),))
    place = SourceRange("web.yaml", 3, 5)
    note = RestartPending(Address("Vm", "web"), ("firmware",), "a", "b", "it is fixed")
    warned = warning("PRV1431", "it matches nothing", detail="d", hint="h", source=place)
    kept = Kept(Address("Disk", "d#0"), "needed by domain web")
    return replace(
        plan,
        pending=(note,),
        kept=(kept,),
        undetermined=(warned,),
        observed=plan.context[:1],
        warnings=(replace(warned, related=(place,), address="Vm/web"),),
    )


def adopting() -> Plan:
    """A plan with the actions that the other one lacks."""
    declarations = (
        declared("Net/found"),
        declared("Net/made"),
        declared("Net/changed", {"mtu": 2}),
    )
    found = {"Net/found": ours("Net/found"), "Net/changed": ours("Net/changed", {"mtu": 1})}
    return Situation(declarations, (), found).plan()


@cache
def plan_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((ROOT / "schemas/results/plan.v1.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@cache
def view_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(
        (ROOT / "schemas/results/plan-view.v1.schema.json").read_bytes()
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def closed(schema: Any) -> Any:
    """The schema with no room for what it does not describe."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if "properties" in result and "required" in result:
        result.setdefault("additionalProperties", False)
    return result


def faults(schema: dict[str, Any], document: Any) -> list[str]:
    """What of a document its schema does not describe."""
    validator = jsonschema.Draft202012Validator(closed(schema))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("plan", [every_part(), adopting()], ids=["every part", "adopting"])
def test_a_plan_is_what_its_schema_says(plan: Plan) -> None:
    assert [] == faults(plan_schema(), plan_json(sealed(plan)))


@pytest.mark.parametrize(
    "plan",
    [every_part(), adopting(), *(make() for make in plans.PLANS.values())],
    ids=["every part", "adopting", *plans.PLANS],
)
def test_a_shown_plan_is_what_its_schema_says(plan: Plan) -> None:
    assert [] == faults(view_schema(), plan_document(sealed(plan), Vocabulary()))


def test_a_shown_plan_has_all_that_a_plan_has() -> None:
    more = {"counts", "refused", "summary"}
    assert {*plan_schema()["required"], *more} == set(view_schema()["required"])
    sometimes = {"counterparts", "trustedSites"}
    assert set(view_schema()["properties"]) == {*view_schema()["required"], *sometimes}


def test_the_plan_has_something_of_everything() -> None:
    plans = [every_part(), adopting()]
    assert set(Action) == {s.action for plan in plans for s in (*plan.steps, *plan.held)}
    empty = {key for key, value in plan_json(plans[0]).items() if value in ([], {}, None)}
    assert {"environment"} == empty


def test_the_words_of_the_schema_are_those_of_the_program() -> None:
    definitions = plan_schema()["$defs"]
    assert [impact.value for impact in Impact] == definitions["impact"]["enum"]
    actions = definitions["step"]["properties"]["action"]["enum"]
    assert [action.value for action in Action] == sorted(actions, key=list(Action).index)


def test_the_sample_policy_knows_every_impact_that_interrupts_a_guest() -> None:
    text = (ROOT / "docs/reviewing-plans.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"change\.provisioner\.impact in (\{.*\})", text)
    beyond = {impact.value for impact in Impact if impact.exceeds(Impact.LIVE)}
    assert beyond == set(json.loads(f"[{named[1:-1]}]"))


def test_the_document_names_what_terraform_has_no_word_for() -> None:
    text = (ROOT / "docs/reviewing-plans.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| what Terraform has no"))
    document = terraform_document(plans.updates(), Vocabulary())
    ours = document["resource_changes"][0]["provisioner"]
    assert [] == [key for key in ours if f"`{key}`" not in row]


def test_the_document_names_every_key_of_a_plan() -> None:
    text = (ROOT / "docs/plan-format.md").read_text(encoding="utf-8")
    definitions = plan_schema()["$defs"]
    keys = {*plan_schema()["properties"]}
    for part in ("step", "change", "resource", "pending", "kept", "endpoint"):
        keys |= set(definitions[part]["properties"])
    keys |= set(view_schema()["properties"]) | set(view_schema()["$defs"]["refusal"]["properties"])
    assert set() == {key for key in keys if f"`{key}`" not in text}


# Codes

ROW = re.compile(r"^\| (PRV\d{4})(?: to (PRV\d{4}))? \|", re.MULTILINE)


def documented() -> Counter[str]:
    text = (ROOT / "docs/diagnostics.md").read_text(encoding="utf-8")
    codes: Counter[str] = Counter()
    for first, last in ROW.findall(text):
        numbers = range(int(first[3:]), int((last or first)[3:]) + 1)
        codes.update(f"PRV{number:04}" for number in numbers)
    return codes


def given() -> Iterator[str]:
    for package in ("provisioner", "plugins"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield from re.findall(r"^PRV\d{4}$", node.value)


def test_every_code_is_documented_once() -> None:
    assert [] == sorted(code for code, times in documented().items() if times > 1)
    assert [] == sorted(set(given()) - set(documented()))


def test_every_documented_code_is_given() -> None:
    assert [] == sorted(set(documented()) - set(given()))
