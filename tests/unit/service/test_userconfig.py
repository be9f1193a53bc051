"""The user's configuration, as its document describes it."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from provisioner.manifest.compiled import CompiledSchema
from provisioner.service.userconfig import AllowedCommand, read_configuration

DOCUMENT = (Path(__file__).parents[3] / "docs" / "secrets.md").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads(
    files("provisioner.service").joinpath("config.v1.json").read_text(encoding="utf-8")
)


def read(folder: Path, text: str) -> Any:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return read_configuration(path, folder / "stack")


def test_the_example_of_the_document_is_read(tmp_path: Path) -> None:
    example = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)[0]
    assert {
        "vault": AllowedCommand(
            ("vault", "kv", "get", "-field=value"), re.compile("secret/[a-z/-]+"), 10.0
        ),
        "lab-password": AllowedCommand(("pass", "show", "lab/root"), None, 30.0),
    } == read(tmp_path, example).commands


def test_the_document_names_every_field() -> None:
    commands = SCHEMA["properties"]["secrets"]["properties"]["commands"]
    fields = commands["additionalProperties"]["properties"]
    assert [] == [name for name in fields if f"\n| `{name}` |" not in DOCUMENT]


def examples(schema: Any) -> list[tuple[Any, Any]]:
    """Each example of a schema with what it has to fit."""
    if not isinstance(schema, dict):
        return []
    below = [*schema.get("properties", {}).values(), schema.get("items")]
    found = [(schema, example) for example in schema.get("examples", ())]
    return found + [
        pair for part in (*below, schema.get("additionalProperties")) for pair in examples(part)
    ]


@pytest.mark.parametrize(("schema", "example"), examples(SCHEMA))
def test_examples_are_valid(schema: Any, example: Any) -> None:
    assert [] == CompiledSchema(schema).problems(example)


def test_the_sticky_bit_protects_a_folder_that_others_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert {} == read(tmp_path, "").commands
