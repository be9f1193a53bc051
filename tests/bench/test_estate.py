"""The benchmarks' estates: always the same, valid, and of the shape that the goals speak of."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load
from tests.bench import estate
from tests.bench.estate import Shape


def leaves(value: object) -> Iterator[object]:
    children = value.values() if isinstance(value, dict) else value
    for child in children if isinstance(children, (list, type({}.values()))) else ():
        if isinstance(child, (dict, list)):
            yield from leaves(child)
        else:
            yield child


def test_same_size_gives_the_same_files(tmp_path: Path) -> None:
    estate.write(tmp_path / "one", 250)
    estate.write(tmp_path / "two", 250)
    one = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    two = {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert one == two


def test_files_hold_a_hundred_resources_each(tmp_path: Path) -> None:
    estate.write(tmp_path, 250)
    files = sorted(tmp_path.glob("resources-*.yaml"))
    assert [100, 100, 50] == [path.read_text().count("apiVersion") for path in files]


@pytest.mark.parametrize("count", [5, 100, 199, 200, 1_000, 10_000])
def test_an_estate_has_exactly_its_size(count: int) -> None:
    assert count == Shape.of(count).resources


def test_an_estate_needs_one_of_each_kind() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        Shape.of(4)


def test_ninety_six_of_a_hundred_are_machines() -> None:
    kinds = Counter(manifest["kind"] for manifest in estate.resources(1_000))
    groups = {"Network": 10, "StoragePool": 10, "Image": 10, "Disk": 10}
    assert {"VirtualMachine": 960, **groups} == kinds


def test_a_machine_has_fifteen_fields_and_three_references() -> None:
    for manifest in estate.resources(100):
        if manifest["kind"] == "VirtualMachine":
            labels, spec = manifest["metadata"]["labels"], manifest["spec"]
            assert 15 == len(list(leaves(labels))) + len(list(leaves(spec)))
            assert "disk-001" == spec["disks"][0]["disk"]
            assert "net-001" == spec["nics"][0]["network"]
            assert "image-001" == spec["cdroms"][0]["image"]


@pytest.mark.parametrize("count", [5, 199, 1_000])
def test_the_loader_takes_an_estate_without_a_word(count: int, tmp_path: Path) -> None:
    estate.write(tmp_path, count)
    stack = load(tmp_path, SchemaCatalog.installed())
    assert count == len(stack.declarations)
    assert () == stack.warnings
