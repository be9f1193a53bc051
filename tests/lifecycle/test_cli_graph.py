"""The command ``graph``: of the manifests, of a plan file, of what apply would do now."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL

FORMATS = ["text", "dot", "mermaid", "svg"]


@pytest.fixture
def half(shop: CommandLine) -> CommandLine:
    """A stack in which two resources are applied and two are not."""
    shop("apply", "--yes", "--target", "Disk/web-root")
    shop("plan", "-o", "rest.plan")
    return shop


@pytest.mark.parametrize("form", FORMATS)
def test_manifests_are_all_that_it_reads(shop: CommandLine, form: str) -> None:
    shop.faults({"call": "open", "effect": "terminal", "times": 0})
    drawn = shop("graph", "--format", form)
    assert (0, True) == (drawn.code, "web-root" in drawn.out)


@pytest.mark.parametrize("form", FORMATS)
def test_a_plan_file_is_drawn_without_manifests_and_endpoint(half: CommandLine, form: str) -> None:
    half.faults({"call": "open", "effect": "terminal", "times": 0})
    half.write("resources.yaml", "not: [a manifest\n")
    drawn = half("graph", "--plan", "rest.plan", "--format", form)
    assert 0 == drawn.code, drawn.err
    assert "lan" in drawn.out


def test_json_says_what_is_done_to_each(half: CommandLine) -> None:
    document = half("graph", "--plan", "rest.plan", "--json").json
    assert {
        "Network/lan": "create",
        "VirtualMachine/web": "create",
        "Disk/web-root": None,
        "StoragePool/pool": None,
    } == {item["address"]: item["action"] for item in document["resources"]}
    assert half("show", "rest.plan", "--json").json["id"].startswith(document["plan"])


def test_planned_has_everything_that_is_declared_and_what_goes(half: CommandLine) -> None:
    half("apply", "--yes")
    half.declare(LAN, POOL)
    document = half("graph", "--planned", "--json").json
    assert {
        "Network/lan": None,
        "StoragePool/pool": None,
        "Disk/web-root": "forget",
        "VirtualMachine/web": "delete",
    } == {item["address"]: item["action"] for item in document["resources"]}


@pytest.mark.parametrize("form", FORMATS)
def test_impact_of_one_resource(shop: CommandLine, form: str) -> None:
    drawn = shop("graph", "--impact-of", "StoragePool/pool", "--format", form)
    assert (True, True, False) == tuple(
        name in drawn.out for name in ("web-root", "VirtualMachine", "Network")
    )


def test_impact_as_json(shop: CommandLine) -> None:
    document = shop("graph", "--impact-of", "Disk/web-root", "--json").json
    assert "Disk/web-root" == document["impactOf"]
    assert {"Disk/web-root": 0, "VirtualMachine/web": 1} == {
        item["address"]: item["distance"] for item in document["resources"]
    }


def test_of_what_is_not_there(shop: CommandLine) -> None:
    refused = shop("graph", "--impact-of", "Disk/web-rot")
    assert (1, True, True) == (
        refused.code,
        "PRV6007" in refused.err,
        "Did you mean Disk/web-root?" in refused.err,
    )


@pytest.mark.parametrize("form", FORMATS)
def test_impact_of_a_host(shop: CommandLine, form: str) -> None:
    drawn = shop("graph", "--impact-of", "Host/here", "--format", form)
    assert [] == [name for name in ("web-root", "pool", "lan", "here") if name not in drawn.out]


def test_of_a_host_with_nothing_on_it(cli: CommandLine) -> None:
    cli.declare()
    drawn = cli("graph", "--impact-of", "Host/here")
    assert (0, ["Host/here", "nothing lives on it"]) == (drawn.code, drawn.out.splitlines())
    refused = cli("graph", "--impact-of", "Host/her")
    assert "Did you mean Host/here?" in refused.err


def test_into_a_file(shop: CommandLine) -> None:
    shown = shop("graph", "--format", "svg")
    assert "" == shop("graph", "--format", "svg", "-o", "graph.svg").out
    assert shown.out == (shop.root / "graph.svg").read_text(encoding="utf-8")


def test_more_than_sixty_are_folded_unless_asked_otherwise(cli: CommandLine) -> None:
    cli.declare(POOL, *(DISK.replace("web-root", f"disk-{n:03}") for n in range(100)))
    folded, whole = (cli("graph", "--format", "mermaid", *more).out for more in ([], ["--unfold"]))
    assert (["disk-000 .. disk-099 (100)"], []) == tuple(
        [part for part in ["disk-000 .. disk-099 (100)"] if part in text]
        for text in (folded, whole)
    )
    assert 101 == whole.count("[")


def test_a_plan_file_and_planning_exclude_each_other(half: CommandLine) -> None:
    assert 1 == half("graph", "--planned", "--plan", "rest.plan").code
