"""Texts that are loaded as if they stood in the stack's folder, and mistakes that know
their field.
"""

from pathlib import Path

import pytest

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import Path as FieldPath
from provisioner.manifest.catalog import SchemaCatalog
from tests.unit.manifest.stacks import BASE, NETWORK, POOL, load

SCHEMAS = SchemaCatalog.installed()
MACHINE = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web, labels: {"odd label": x}}
spec:
  cpu: {count: -1}
  memory: {size: 1GiB, max: 5}
  nics:
  - {name: lan, network: lan, mac: odd}
  - {name: "no good", network: lan}
  - {name: wan, network: nothing}
"""


def mistakes(root: Path, texts: dict[Path, str]) -> tuple[Diagnostic, ...]:
    with pytest.raises(ProvisionerError) as caught:
        load(root, SCHEMAS, unwritten=texts)
    return caught.value.diagnostics


def test_they_are_a_part_of_the_stack(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(BASE)
    stack = load(tmp_path, SCHEMAS, unwritten={Path("a/pool.yaml"): POOL})
    assert ["images"] == [address.name for address in stack.declarations]
    assert [tmp_path / "stack.yaml"] == list(tmp_path.iterdir())


def test_a_whole_stack_of_them_needs_no_folder(tmp_path: Path) -> None:
    stack = load(tmp_path / "new", SCHEMAS, unwritten={Path("all.yaml"): f"{BASE}---\n{POOL}"})
    assert ("shop", 1) == (stack.name, len(stack.declarations))


def test_what_is_written_has_precedence(tmp_path: Path) -> None:
    (tmp_path / "z.yaml").write_text(f"{BASE}---\n{NETWORK}")
    (found,) = mistakes(tmp_path, {Path("a.yaml"): NETWORK.replace("name: lan", "name: other")})
    assert found.source is not None
    assert str(tmp_path / "a.yaml") == found.source.file


def test_mistakes_know_their_field(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(f"{BASE}---\n{NETWORK}")
    found: list[FieldPath] = [item.path for item in mistakes(tmp_path, {Path("m.yaml"): MACHINE})]
    assert [
        ("cpu", "count"),
        ("labels", "odd label"),
        ("memory", "max"),
        ("nics", "lan", "mac"),
        ("nics", "no good"),
        ("nics", "wan", "network"),
    ] == sorted(found)
