"""The schemas are valid, complete and consistent; their examples, the worked stacks and the
generated reference agree with them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import provisioner_schemas
from provisioner.core.actions import Impact
from provisioner.core.address import NAME_PATTERN
from provisioner.core.units import parse_duration, parse_size
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.fields import walk as fields_below
from provisioner.service.schema import result_files

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(provisioner_schemas.__file__).parent
SHARED = "definitions.v1.json"
SCHEMAS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
KINDS = {schema["title"]: schema for name, schema in SCHEMAS.items() if name != SHARED}

# Relative identifiers only: whoever holds these files needs nothing else.
PYTHON_REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
RUST_REGISTRY = jsonschema_rs.Registry(list(SCHEMAS.items()))

ANNOTATIONS = {
    "x-borrowed",
    "x-default-from",
    "x-computed",
    "x-endpoint",
    "x-expected",
    "x-file",
    "x-follows",
    "x-format",
    "x-host-from",
    "x-impact",
    "x-impact-on-delete",
    "x-inline-as",
    "x-keys-of",
    "x-maximum",
    "x-minimum",
    "x-multiple",
    "x-order",
    "x-policy",
    "x-provider-schema",
    "x-ref",
    "x-ref-exclusive",
    "x-ref-keeps",
    "x-retention",
    "x-rules",
    "x-sensitive",
    "x-set",
    "x-stack",
    "x-unit",
    "x-unordered",
}
MAPS_OF_SCHEMAS = {"properties", "$defs", "x-computed"}
SCHEMA_KEYWORDS = {"items", "additionalProperties", "propertyNames", "not", "if", "then"}


class Node(NamedTuple):
    """A schema within a schema file; ``name`` is that of the property that it describes, if any."""

    pointer: str
    schema: dict[str, Any]
    name: str | None

    @property
    def resolved(self) -> dict[str, Any]:
        reference = self.schema.get("$ref")
        if reference is None:
            return self.schema
        assert reference.startswith(f"{SHARED}#/$defs/")
        return {**SCHEMAS[SHARED]["$defs"][reference.rpartition("/")[2]], **self.schema}


def walk(schema: Any, pointer: str, name: str | None = None) -> Iterator[Node]:
    if not isinstance(schema, dict):
        return
    yield Node(pointer, schema, name)
    for keyword, value in schema.items():
        if keyword in MAPS_OF_SCHEMAS:
            for key, inner in value.items():
                escaped = key.replace("~", "~0").replace("/", "~1")
                yield from walk(inner, f"{pointer}/{keyword}/{escaped}", key)
        elif keyword in SCHEMA_KEYWORDS:
            yield from walk(value, f"{pointer}/{keyword}")
        elif keyword == "allOf":
            for index, inner in enumerate(value):
                yield from walk(inner, f"{pointer}/{keyword}/{index}")


NODES = [node for name, schema in SCHEMAS.items() for node in walk(schema, f"{name}#")]
# Below `then`, properties repeat what stands elsewhere; below `if` they are conditions.
CONDITIONS = ("/if", "/then", "/not")
VALUES = ("items", "additionalProperties")
"""Keywords whose schema describes what an author writes, without a name of its own."""
PROPERTIES = [
    node
    for node in NODES
    if (node.name is not None or node.pointer.rpartition("/")[2] in VALUES)
    and not any(part in node.pointer for part in CONDITIONS)
]


def messages(schema: dict[str, Any], instance: Any) -> tuple[list[str], list[str]]:
    """What either validator has to say against the instance."""
    python = Draft202012Validator(schema, registry=PYTHON_REGISTRY)
    rust = jsonschema_rs.Draft202012Validator(schema, registry=RUST_REGISTRY)
    return (
        [error.message for error in python.iter_errors(instance)],
        [error.message for error in rust.iter_errors(instance)],
    )


def pointing_at(node: Node) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": node.pointer}


def accepts(definition: str, text: str) -> bool:
    python, rust = messages({"$ref": f"{SHARED}#/$defs/{definition}"}, text)
    assert bool(python) == bool(rust)
    return not python


def test_there_is_a_schema_for_each_kind_and_it_is_named_after_it():
    resources = ["Network", "StoragePool", "Image", "Disk", "VirtualMachine", "Snapshot"]
    inventory = ["Datacenter", "Folder", "Cluster", "ClusterHost", "ResourcePool", "PlacementRule"]
    more = ["Role", "Permission", "Site", "SitePair", "ProtectionGroup", "RecoveryPlan"]
    assert ["Stack", "Host", *resources, *inventory, *more] == sorted(
        KINDS, key=lambda kind: KINDS[kind]["x-order"]
    )
    for kind, schema in KINDS.items():
        assert schema is SCHEMAS[f"{kind.lower()}.v1.json"]
        assert kind == schema["properties"]["kind"]["const"]
        assert ["apiVersion", "kind", "metadata", "spec"] == list(schema["properties"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_valid_and_its_id_is_its_file_name(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert jsonschema_rs.meta.is_valid(SCHEMAS[name])
    assert name == SCHEMAS[name]["$id"]
    assert "https://json-schema.org/draft/2020-12/schema" == SCHEMAS[name]["$schema"]


def test_properties_were_found_at_every_depth():
    pointers = {node.pointer for node in PROPERTIES}
    nested = "/properties/spec/properties/disks/items/properties/bus"
    assert f"virtualmachine.v1.json#{nested}" in pointers
    assert f"{SHARED}#/$defs/metadata/properties/replicas/properties/count" in pointers
    assert f"{SHARED}#/$defs/labels/additionalProperties" in pointers
    assert "stack.v1.json#/properties/spec/properties/policy/properties/protect/items" in pointers


@pytest.mark.parametrize("node", PROPERTIES, ids=lambda node: node.pointer)
def test_every_property_says_what_it_is_and_has_valid_examples(node):
    assert node.resolved["description"].endswith(".")
    assert node.resolved["examples"]
    for example in node.resolved["examples"]:
        assert ([], []) == messages(pointing_at(node), example), example
    if "default" in node.schema:
        assert ([], []) == messages(pointing_at(node), node.schema["default"])


@pytest.mark.parametrize("kind", KINDS)
def test_example_documents_are_valid(kind):
    documents = KINDS[kind]["examples"]
    assert documents
    for document in documents:
        assert ([], []) == messages(KINDS[kind], document)


def test_objects_refuse_unknown_fields_and_patterns_say_what_they_expect():
    for node in NODES:
        if node.schema.get("type") == "object" and "properties" in node.schema:
            assert node.schema["additionalProperties"] is False, node.pointer
        if {"pattern", "not", "maxProperties"} & node.schema.keys() and "/if" not in node.pointer:
            assert node.schema["x-expected"], node.pointer


def test_quantities_have_units():
    found = set()
    for node in PROPERTIES:
        example = node.resolved["examples"][0]
        for parse, unit in ((parse_size, "bytes"), (parse_duration, "milliseconds")):
            if not isinstance(example, str) or node.pointer.startswith("stack"):
                continue
            try:
                parse(example)
            except ValueError:
                continue
            assert unit == node.resolved["x-unit"], node.pointer
            found.add(node.name)
    assert {"size", "max", "leaseTime", "shutdownTimeout"} <= found


def test_annotations_are_known_documented_and_have_values_that_exist():
    documentation = (ROOT / "docs" / "schema-annotations.md").read_text("utf-8")
    outputs = [output for kind in KINDS.values() for output in kind.get("x-computed", {}).values()]
    described = [*(node.schema for node in NODES), *outputs]
    used = {key for schema in described for key in schema if key.startswith("x-")}
    assert used == ANNOTATIONS
    assert not [name for name in used if f"`{name}`" not in documentation]
    impacts = {impact.value for impact in Impact}
    for node in NODES:
        schema = node.schema
        assert schema.get("x-impact", "none") in impacts, node.pointer
        assert schema.get("x-impact-on-delete", "none") in impacts, node.pointer
        assert schema.get("x-unit", "bytes") in {"bytes", "milliseconds"}, node.pointer
        assert schema.get("x-format", "ip") in {"mac", "ip", "cidr", "interface"}, node.pointer
        assert schema.get("x-provider-schema", "native") in {"native", "connection"}, node.pointer


def test_rules_are_sentences_that_the_reference_shows():
    rules = [rule for node in NODES for rule in node.schema.get("x-rules", ())]
    assert rules
    pages = (ROOT / "docs" / "manifests").glob("*.md")
    text = "\n".join(page.read_text("utf-8") for page in pages)
    for rule in rules:
        assert rule.endswith(".")
        assert f"\n- {rule}\n" in text


def test_references_name_kinds():
    referring = [node for node in NODES if "x-ref" in node.schema]
    never = {"Stack", "Snapshot", "PlacementRule", "Permission", "RecoveryPlan"}
    assert set(KINDS) - never == {node.schema["x-ref"] for node in referring}
    for node in NODES:
        if {"x-host-from", "x-ref-keeps", "x-ref-exclusive"} & node.schema.keys():
            assert "x-ref" in node.schema, node.pointer


def test_sets_are_keyed_by_a_required_property():
    sets = [node for node in NODES if "x-set" in node.schema]
    of_resources = "disks nics cdroms reservations hosts members machines excused"
    of_policies = "networks pools clusters folders resourcePools groups after test real bubble"
    others = "steps suspend approvals excludeDisks"
    assert {*f"{of_resources} {of_policies} {others}".split()} == {node.name for node in sets}
    for node in sets:
        key, items = node.schema["x-set"], node.schema["items"]
        assert key in items["required"], node.pointer
        assert key in items["properties"], node.pointer


def test_members_of_outputs_are_named_by_a_list():
    for kind, schema in KINDS.items():
        for output, computed in schema.get("x-computed", {}).items():
            assert (computed["type"] == "object") == ("x-keys-of" in computed), (kind, output)
            if "x-keys-of" in computed:
                named = schema["properties"]["spec"]["properties"][computed["x-keys-of"]]
                assert "x-set" in named


def test_text_files_are_read_into_a_sibling():
    for node in NODES:
        for field in node.schema.get("properties", {}).values():
            if "x-inline-as" in field:
                assert field["x-file"] is True
                assert field["x-inline-as"] in node.schema["properties"], node.pointer


def test_outputs_follow_fields_that_there_are():
    followed = 0
    for info in SchemaCatalog.installed().kinds.values():
        fields = {".".join(path) for path, _ in fields_below(info.spec)}
        for name, output in info.outputs.items():
            for field in output.get("x-follows", ()):
                assert field in fields, f"{info.kind}: {name}"
                followed += 1
    assert followed > 0


@pytest.mark.parametrize("kind", KINDS)
def test_kind_says_what_it_is_to_the_engine(kind):
    schema = KINDS[kind]
    assert "x-impact" in schema["properties"]["spec"]
    resource = not (schema.keys() & {"x-stack", "x-endpoint", "x-policy"})
    metadata = "metadata" if resource else "plainMetadata"
    assert f"{SHARED}#/$defs/{metadata}" == schema["properties"]["metadata"]["$ref"]
    assert resource == ("x-impact-on-delete" in schema)
    assert resource == bool(schema.get("x-computed"))
    if "x-retention" in schema:
        field = schema["properties"]["spec"]["properties"][schema["x-retention"]]
        assert field["default"] in {"keep", "delete"}


@pytest.mark.parametrize(
    "text",
    ["4GiB", "1.5 GiB", "200GB", "1KB", "1kB", "7B", "4", "4gib", "GiB", "-4GiB", "", "4 Gi"],
)
def test_sizes_are_those_that_the_core_reads(text):
    assert _reads(parse_size, text) == accepts("size", text)


@pytest.mark.parametrize(
    "text", ["500ms", "30s", "1.5 h", "7d", "30", "s", "30sec", "-1s", "1m30s"]
)
def test_durations_are_those_that_the_core_reads(text):
    assert _reads(parse_duration, text) == accepts("duration", text)


@pytest.mark.parametrize(
    "text", ["a", "web-01", "a.b", "-a", "a-", "A", "a_b", "", "a" * 63, "a" * 64, "a b", "$", "é"]
)
def test_names_are_those_that_the_core_takes(text):
    assert (NAME_PATTERN.fullmatch(text) is not None) == accepts("name", text)


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ("name", "web-${replica.index:02}"),
        ("name", "${var.stage}-web"),
        ("size", "${var.memory}"),
        ("duration", "${var.patience}"),
        ("mac", "52:54:00:00:00:${replica.index:02}"),
        ("ip", "10.20.0.2${replica.index}"),
        ("ipv4", "${VirtualMachine/web.address}"),
        ("cidr", "10.${var.site}.0.0/24"),
        ("cidr6", "${var.prefix}::/64"),
        ("interface", "10.20.0.${replica.index}/24"),
        ("shares", "${var.weight}"),
        ("domainName", "${var.stage}.example"),
        ("address", "VirtualMachine/web-${replica.index}"),
    ],
)
def test_placeholders_may_stand_where_text_has_a_form(definition, text):
    assert accepts(definition, text)


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ("mac", "52:54:00:12:34"),
        ("ip", "ten"),
        ("ipv4", "fd00::1"),
        ("cidr", "10.20.0.0"),
        ("cidr", "fd00::/64"),
        ("cidr6", "10.20.0.0/24"),
        ("interface", "10.20.0.11"),
        ("shares", "most"),
        ("domainName", "a_b"),
        ("device", "a-name-of-16-chars"),
        ("address", "web"),
        ("name", "web-${}"),
    ],
)
def test_text_without_the_form_is_refused(definition, text):
    assert not accepts(definition, text)


def _with(kind: str, **spec: Any) -> dict[str, Any]:
    """The kind's example with other fields in its spec; None takes a field out."""
    document: dict[str, Any] = json.loads(json.dumps(KINDS[kind]["examples"][0]))
    document["spec"] |= spec
    document["spec"] = {key: value for key, value in document["spec"].items() if value is not None}
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (_with("Network", mode="bridge"), "'bridge' is a required property"),
        (_with("Network", cidr=None), "'cidr' is a dependency of 'dhcp'"),
        (_with("Network", mode="nut"), "'nut' is not one of"),
        (_with("Network", dhcp={"start": "10.20.0.100"}), "'end' is a dependency of 'start'"),
        (_with("StoragePool", path=None), "'path' is a required property"),
        (_with("StoragePool", type="netfs"), "'source' is a required property"),
        (_with("StoragePool", type="vmfs", source={}), "'devices' is a required property"),
        (_with("VirtualMachine", clone={"mode": "full"}), "'image' is a required property"),
        (
            _with("VirtualMachine", customization={"nics": [{"name": "a", "gateway": "10.0.0.1"}]}),
            "'address' is a dependency of 'gateway'",
        ),
        (_with("StoragePool", type="iscsi", source={"host": "a"}), "'target' is a required"),
        (_with("Image", source={"file": "a", "volume": "b"}), "has too many properties"),
        (_with("Image", source={}), "should be non-empty"),
        (_with("Disk", image=None, size=None), "'size' is a required property"),
        (_with("Disk", size=20), "20 is not of type 'string'"),
        (_with("Disk", image=None, clone="full"), "'image' is a dependency of 'clone'"),
        (_with("VirtualMachine", memory=None), "'memory' is a required property"),
        (_with("VirtualMachine", cpus=4), "'cpus' was unexpected"),
        (_with("VirtualMachine", cloudInit={"userData": "", "userDataFile": "a"}), "not be valid"),
        (_with("VirtualMachine", cloudInit={"userData": {}}), "'secretRef' is a required"),
        (_with("Snapshot", machine="Web"), "does not match"),
        (_with("ResourcePool", cpu={"shares": "much"}), "does not match"),
        (_with("ResourcePool", cpu={"shares": 0}), "less than the minimum"),
        (_with("Permission", on={}), "should be non-empty"),
        (_with("Permission", on={"folder": "a", "machine": "b"}), "has too many properties"),
        (
            _with("Cluster", ha={"admissionControl": {"cpuPercent": 25}}),
            "'memoryPercent' is a dependency of 'cpuPercent'",
        ),
        (_with("Stack", policy={"maxImpact": "data-loss"}), "is not one of"),
    ],
)
def test_bad_document_is_refused_once_and_plainly(document, message):
    python, rust = messages(KINDS[document["kind"]], document)
    assert 1 == len(python)
    assert 1 == len(rust)
    assert message in python[0]


def test_overlays_are_open_but_keep_the_name():
    overlay = {"Disk/a-${replica.index}": {"metadata": {"name": "b"}, "spec": {"size": None}}}
    document = _with("Stack", environments={"dev": {"overlays": overlay}})
    python, _ = messages(KINDS["Stack"], document)
    assert 1 == len(python)
    del overlay["Disk/a-${replica.index}"]["metadata"]
    assert ([], []) == messages(KINDS["Stack"], document)


MANIFESTS = sorted((ROOT / "stacks").rglob("*.yaml"))


def test_the_worked_stacks_are_there():
    stacks = {"quickstart", "three-tier", "environments", "dr-two-sites"}
    assert stacks == {path.parent.name for path in MANIFESTS}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_manifests_of_the_worked_stacks_fit_the_schema_of_their_modeline(path):
    text = path.read_text("utf-8")
    modeline, _, _ = text.partition("\n")
    start, _, target = modeline.partition("=")
    assert "# yaml-language-server: $schema" == start
    schema = SCHEMAS[(path.parent / target).resolve().relative_to(FOLDER.resolve()).name]
    documents = list(yaml.safe_load_all(text))
    assert documents
    for document in documents:
        assert ([], []) == messages(schema, document)


def _reference(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "lib" / "reference.py"
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=60
    )


def test_the_generated_reference_is_current():
    result = _reference("--check")
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)


def test_a_stale_reference_is_found_and_mended(tmp_path):
    (tmp_path / "formerkind.md").write_text("a page of a kind that is no more")
    assert 0 == _reference("--into", str(tmp_path)).returncode
    pages = {path.name for path in tmp_path.iterdir()}
    providers = {f"provider-{name}.md" for name in ("esxi", "kvm", "memory", "vcenter")}
    assert {"index.md", *providers, *(f"{kind.lower()}.md" for kind in KINDS)} == pages
    assert 0 == _reference("--check", "--into", str(tmp_path)).returncode
    (tmp_path / "disk.md").write_text("edited by hand")
    result = _reference("--check", "--into", str(tmp_path))
    assert 1 == result.returncode
    assert "disk.md is not what the schemas say" in result.stdout
    assert "edited by hand" == (tmp_path / "disk.md").read_text()


def _reads(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


# What the program writes


@pytest.mark.parametrize("name", sorted(result_files()))
def test_the_schema_of_a_result_stands_alone(name: str, tmp_path: Path) -> None:
    """Another program takes it from wherever it was put."""
    path, document = tmp_path / "elsewhere.json", tmp_path / "document.json"
    path.write_text(result_files()[name], encoding="utf-8")
    golden = ROOT / "tests" / "golden" / "cli" / "plan-updates.json"
    found = golden.read_text(encoding="utf-8") if name.startswith("plan-view") else "{}"
    document.write_text(found, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--schemafile", path, document],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    told = "ok -- validation done" if found != "{}" else "'format' is a required property"
    assert told in run.stdout, run.stdout + run.stderr
