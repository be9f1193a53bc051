"""The schema that takes every kind, for editors: it says what the schema of the kind says."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from provisioner.service.schema import ANY_KIND, schema_files

SCHEMAS = {name: json.loads(text) for name, text in schema_files().items()}
KINDS = sorted(name for name in SCHEMAS if name not in {ANY_KIND, "definitions.v1.json"})


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
