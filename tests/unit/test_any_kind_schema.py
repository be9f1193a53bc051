"""The schemas as editors get them: one that takes every kind, and what providers add."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.service.schema import ANY_KIND, schema_files

ROOT = Path(__file__).parents[2]
SCHEMAS = {name: json.loads(text) for name, text in schema_files().items()}
KINDS = sorted(f"{kind.lower()}.v1.json" for kind in SchemaCatalog.installed().kinds)
STACKS = sorted(path for path in (ROOT / "stacks").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def validator() -> Any:
    registry: Any = Registry().with_resources(
        (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
    )
    return Draft202012Validator(SCHEMAS[ANY_KIND], registry=registry)


@pytest.mark.parametrize("name", KINDS)
def test_takes_the_examples_of_every_kind(name: str, validator: Any) -> None:
    for example in SCHEMAS[name]["examples"]:
        assert [] == list(validator.iter_errors(example))


@pytest.mark.parametrize("name", KINDS)
def test_refuses_what_the_kind_refuses(name: str, validator: Any) -> None:
    example = {**SCHEMAS[name]["examples"][0], "spec": {"noSuchField": 1}}
    assert any("noSuchField" in problem.message for problem in validator.iter_errors(example))


def test_refuses_an_unknown_kind(validator: Any) -> None:
    manifest = {"apiVersion": "provisioner/v1", "kind": "Netwrk", "metadata": {}, "spec": {}}
    assert [] != list(validator.iter_errors(manifest))


@pytest.mark.parametrize("folder", STACKS, ids=lambda folder: folder.name)
def test_takes_every_worked_stack(folder: Path, validator: Any) -> None:
    documents = [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    assert {"Stack", "Host"} <= {document["kind"] for document in documents}
    for document in documents:
        assert [] == [problem.message for problem in validator.iter_errors(document)]


def host(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "provisioner/v1",
        "kind": "Host",
        "metadata": {"name": "lab"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    "spec",
    [
        {
            "provider": "kvm",
            "connection": {"uri": "qemu+tls://kvm1/system", "tls": {"folder": "p"}},
        },
        {"provider": "memory"},
        {"provider": "memory", "connection": {"path": "lab.jsonl"}},
        {"provider": "of-somebody-else", "connection": {"anything": 1}},
    ],
)
def test_takes_the_connection_of_each_provider(spec: dict[str, Any], validator: Any) -> None:
    assert [] == [problem.message for problem in validator.iter_errors(host(**spec))]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"provider": "kvm"}, "'connection' is a required property"),
        ({"provider": "kvm", "connection": {}}, "'uri' is a required property"),
        ({"provider": "kvm", "connection": {"uri": "qemu://"}}, "does not match"),
        (
            {"provider": "kvm", "connection": {"uri": "qemu:///system", "tsl": {}}},
            "'tsl' was unexpected",
        ),
        ({"provider": "memory", "connection": {"uri": "a"}}, "'uri' was unexpected"),
    ],
)
def test_refuses_what_the_provider_refuses(
    spec: dict[str, Any], message: str, validator: Any
) -> None:
    (problem,) = validator.iter_errors(host(**spec))
    assert message in problem.message


def test_knows_the_native_settings_of_each_provider(validator: Any) -> None:
    pool = json.loads(json.dumps(SCHEMAS["storagepool.v1.json"]["examples"][0]))
    pool["spec"]["native"] = {"kvm": {"pol": []}, "of-somebody-else": {"anything": 1}}
    (problem,) = validator.iter_errors(pool)
    assert "'pol' was unexpected" in problem.message
