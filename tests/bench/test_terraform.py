"""The estate and its state for Terraform: always the same, in the form that it writes itself."""

import json
from pathlib import Path

import pytest

from tests.bench import estate, phases, terraform, terraform_estate, tfstate
from tests.bench.phases import MIDDLE
from tests.bench.terraform import Tool
from tests.bench.terraform_estate import Reference, Resource

SOME = Tool("/nowhere/terraform", "Terraform", "1.11.4")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def found() -> Tool:
    tool = terraform.find()
    if tool is None:
        pytest.skip(f"no {' or '.join(terraform.NAMES)} on the PATH")
    return tool


def test_same_size_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        terraform_estate.write(tmp_path / name, 250)
        tfstate.write(tmp_path / name, 250, "1.11.4")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_files_hold_a_hundred_resources_each(tmp_path: Path) -> None:
    terraform_estate.write(tmp_path, 250)
    files = sorted(tmp_path.glob("*.tf"))
    assert [100, 100, 50] == [path.read_text().count("resource ") for path in files]


def test_resources_are_those_of_our_estate() -> None:
    def unmarked(value: object) -> object:
        match value:
            case Reference(name):
                return name
            case dict():
                return {key: unmarked(item) for key, item in value.items()}
            case list():
                return [unmarked(item) for item in value]
        return value

    ours = [
        (
            it["metadata"]["name"],
            it["spec"] | {k: v for k, v in it["metadata"].items() if k != "name"},
        )
        for it in estate.resources(200)
    ]
    assert ours == [(name, unmarked(value)) for name, value in terraform_estate.resources(200)]


def test_a_block_is_hcl_with_references() -> None:
    value = {
        "description": 'the "first"',
        "cpu": {"count": 2},
        "autostart": False,
        "disks": [{"disk": Reference("disk-001"), "readOnly": True}],
    }
    assert """\
resource "terraform_data" "vm-1" {
  input = {
    description = "the \\"first\\""
    cpu = {
      count = 2
    }
    autostart = false
    disks = [{
      disk = terraform_data.disk-001.id
      readOnly = true
    }]
  }
}
""" == terraform_estate.block(Resource("vm-1", value))


def test_every_reference_is_to_a_resource() -> None:
    names = {resource.name for resource in terraform_estate.resources(100)}
    machine = list(terraform_estate.resources(100))[-1]
    assert {"disk-001", "net-001", "image-001"} == set(terraform_estate.references(machine.input))
    assert names > {
        name
        for resource in terraform_estate.resources(100)
        for name in terraform_estate.references(resource.input)
    }


def test_a_state_holds_every_resource_by_name_with_what_it_needs(tmp_path: Path) -> None:
    tfstate.write(tmp_path, 250, "1.11.4")
    state = json.loads((tmp_path / tfstate.FILE).read_text())
    names = [resource["name"] for resource in state["resources"]]
    assert sorted(resource.name for resource in terraform_estate.resources(250)) == names
    machine = state["resources"][-1]["instances"][0]
    assert [f"terraform_data.{name}-002" for name in ("disk", "image", "net", "pool")] == machine[
        "dependencies"
    ]
    attributes = machine["attributes"]
    assert attributes["input"] == attributes["output"]
    assert tfstate.identifier("net-002") == attributes["input"]["value"]["nics"][0]["network"]
    assert ["object", {"count": "number", "max": "number"}] == attributes["input"]["type"][1]["cpu"]


def test_what_would_take_hours_is_left_out_unless_asked_for() -> None:
    whole = [phase.name for phase in phases.LIFE]
    few = [name for name in whole if name not in {phases.APPLY, phases.DESTROY}]
    theirs = terraform.contender(SOME)
    assert whole == [phase.name for phase in theirs.phases(MIDDLE)]
    assert few == [phase.name for phase in theirs.phases(MIDDLE + 1)]
    everything = terraform.contender(SOME, 10_000)
    assert whole == [phase.name for phase in everything.phases(10_000)]


def test_only_figures_on_a_state_of_ours_are_marked() -> None:
    marks = [phase.mark for phase in terraform.contender(SOME).phases(MIDDLE + 1)]
    assert ["", "", terraform.GENERATED, terraform.GENERATED] == marks


def test_another_name_is_not_replaced_by_what_there_is() -> None:
    assert terraform.find("no-such-program") is None


def test_the_state_is_the_one_that_the_program_itself_writes(tmp_path: Path) -> None:
    tool = found()
    theirs = terraform.contender(tool)
    theirs.write(tmp_path, 100)
    apply = theirs.phase(phases.APPLY, 100)
    assert apply is not None
    apply.run(tmp_path, tmp_path / "log", theirs.environment)
    path = tmp_path / tfstate.FILE
    applied = path.read_text()
    tfstate.write(tmp_path, 100, tool.version)
    # As values: OpenTofu writes the same without white space.
    assert json.loads(path.read_text()) == with_our_identifiers(applied)
    # The plan ends with 0 where there is nothing to do.
    for phase in terraform.contender(tool, 0).phases(100)[2:]:
        phase.run(tmp_path, tmp_path / "log", theirs.environment)


def with_our_identifiers(text: str) -> object:
    """A state with the identifiers and the serial number that the benchmark gives."""
    state = json.loads(text)
    for resource in state["resources"]:
        theirs = resource["instances"][0]["attributes"]["id"]
        text = text.replace(theirs, tfstate.identifier(resource["name"]))
    ours = {"lineage": tfstate.identifier("lineage"), "serial": len(state["resources"]) + 1}
    return json.loads(text) | ours
