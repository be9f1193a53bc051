"""``provisioner drift`` as people and schedules run it: exit codes, what is shown, and JSON."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import ALL
from tests.lifecycle.test_read_only_folder import as_somebody, lock, unlock

SCHEMA = Path(__file__).parents[2] / "schemas" / "results" / "drift.v1.schema.json"


def stack(cli: CommandLine, *rules: str) -> None:
    cli.write(
        "stack.yaml",
        "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: test}\n"
        f"spec: {{drift: {{ignore: [{', '.join(rules)}]}}}}\n",
    )


def rule(address: str, field: str, until: str = "2999-12-31") -> str:
    return f"{{address: {address}, field: '{field}', reason: known, until: {until}}}"


@pytest.fixture
def drifted(applied: CommandLine) -> CommandLine:
    """An applied stack whose machine has another number of processors."""
    applied.outside.change("VirtualMachine", "web", ("cpu", "count"), 2)
    return applied


def test_what_is_shown(drifted: CommandLine) -> None:
    finished = drifted("drift")
    assert (2, "Observing 4 resources\n") == (finished.code, finished.err)
    shown = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", finished.out)
    assert (
        "VirtualMachine/web  drifted\n"
        "    cpu.count  applied 1, now 2\n"
        "      next apply sets it back to 1 [live]\n"
        "    changed outside, first seen on TIME\n"
        "\n"
        "Drift: 1 drifted; 3 as applied.\n"
    ) == shown


def test_0_if_it_is_ignored(drifted: CommandLine) -> None:
    stack(drifted, rule("VirtualMachine/web", "cpu.*"))
    finished = drifted("drift")
    assert (0, "No drift: 4 resources as applied; 1 difference ignored.\n") == (
        finished.code,
        finished.out,
    )
    verbose = drifted("drift", "--verbose").out
    assert "cpu.count  applied 1, now 2\n      until 2999-12-31: known\n" in verbose
    (resource,) = [
        item for item in drifted("drift", "--json").json["resources"] if "fields" in item
    ]
    assert "known" == resource["fields"][0]["ignored"]["reason"]


def test_1_if_a_rule_has_expired(applied: CommandLine) -> None:
    stack(applied, rule("VirtualMachine/web", "cpu.*", "2020-01-31"))
    finished = applied("drift", "--json")
    assert (1, ["PRV2101"]) == (finished.code, finished.codes)
    assert ["PRV2101"] == [item["code"] for item in finished.json["problems"]]


def test_2_if_there_is_drift_as_well(drifted: CommandLine) -> None:
    stack(drifted, rule("VirtualMachine/web", "cpu.*", "2020-01-31"))
    finished = drifted("drift", "--json")
    assert (2, ["PRV2101"]) == (finished.code, finished.codes)
    assert ("stack.yaml", 4) == tuple(
        json.loads(finished.err)["source"][key] for key in ("file", "line")
    )
    assert ["VirtualMachine/web"] == [
        item["address"] for item in finished.json["resources"] if item["condition"] == "drifted"
    ]


def test_an_expired_rule_is_seen_in_a_pull_request(applied: CommandLine) -> None:
    stack(applied, rule("VirtualMachine/web", "cpu.*", "2020-01-31"))
    for command, key in (("validate", "diagnostics"), ("plan", "warnings")):
        finished = applied(command, "--json")
        (found,) = finished.json[key]
        assert (0, "PRV2101", "warning", 4) == (
            finished.code,
            found["code"],
            found["severity"],
            found["source"]["line"],
        )


def test_2_if_a_step_failed(applied: CommandLine) -> None:
    applied.declare(*ALL[:-1], ALL[-1].replace("256MiB", "128MiB"))
    applied.faults({"call": "update", "effect": "terminal", "times": 0})
    assert 1 == applied("apply", "--yes").code
    finished = applied("drift")
    assert 2 == finished.code
    assert re.search(
        r"VirtualMachine/web  failed\n"
        r"    update failed on [\d: -]+ UTC: the endpoint refuses the call to\n"
        r"      update VirtualMachine/web\n",
        finished.out,
    )


def test_2_if_a_host_cannot_be_read(drifted: CommandLine) -> None:
    rest = (
        "---\napiVersion: provisioner/v1\nkind: Host\nmetadata: {name: there}\n"
        "spec: {provider: memory, connection: {path: there.jsonl%s}}\n"
    )
    document = (drifted.root / "host.yaml").read_text()
    stack(drifted)
    text = (drifted.root / "stack.yaml").read_text()
    drifted.write("stack.yaml", text.replace("spec: {", "spec: {defaults: {host: here}, "))
    drifted.write("host.yaml", document + rest % "")
    drifted.declare(*ALL, "Network/far\nhost: there\nmode: isolated\ncidr: 10.5.0.0/24\n")
    assert 0 == drifted("apply", "--yes", "--target", "Network/far").code
    silent = ", faults: [{call: open, effect: retryable, times: 0, seconds: 0}]"
    drifted.write("host.yaml", document + rest % silent)
    finished = drifted("drift")
    assert 2 == finished.code
    assert "VirtualMachine/web  drifted\n" in finished.out
    assert "next apply: would update it [live], once Host/there is settled\n" in finished.out
    assert "Host/there  cannot be read\n" in finished.out
    assert "unknown: Network/far\n" in finished.out


def test_the_document_is_what_its_schema_says(drifted: CommandLine) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes()))
    drifted.outside.remove("Network", "lan")
    stack(drifted, rule("VirtualMachine/web", "cpu.*"))
    drifted.faults({"call": "observe", "address": "Disk/*", "effect": "undetermined", "times": 9})
    document = drifted("drift", "--json").json
    assert [] == [problem.message for problem in validator.iter_errors(document)]
    assert {"Network/lan": "drifted", "Disk/web-root": "unknown"} == {
        item["address"]: item["condition"]
        for item in document["resources"]
        if item["condition"] != "converged"
    }


def test_first_seen_needs_no_permission(drifted: CommandLine) -> None:
    drifted.write(
        "host.yaml",
        "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: here}\n"
        "spec: {provider: memory, connection: {path: endpoint/objects.jsonl}}\n",
    )
    (drifted.root / "endpoint").mkdir()
    (drifted.root / "objects.jsonl").rename(drifted.root / "endpoint" / "objects.jsonl")
    lock(drifted)
    try:
        finished = as_somebody(drifted, "drift", "--json")
    finally:
        unlock(drifted.root)
    assert (2, ["PRV2106"]) == (finished.code, finished.codes)
    (resource,) = [item for item in finished.json["resources"] if "fields" in item]
    assert finished.json["at"] == resource["fields"][0]["firstSeen"]
