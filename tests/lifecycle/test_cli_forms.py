"""The forms in which a plan is shown, and where they go."""

import html
import json
import re
import shlex
from pathlib import Path

import pytest

from provisioner.cli.planning import command_of
from provisioner.service.plan import read_plan
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, THROWAWAY_DISK, WEB

FORMS = ["--markdown", "--html", "--gitlab", "--terraform", "--json"]


@pytest.mark.parametrize("form", FORMS)
def test_a_plan_file_is_shown_as_the_plan_was(shop: CommandLine, form: str) -> None:
    """Without an endpoint, on the output or in a file."""
    planned = shop("plan", "-o", "first.plan", form)
    shop.faults({"call": "open", "effect": "terminal", "times": 0})
    shown = shop("show", "first.plan", form)
    written = shop("show", "first.plan", form, "-o", "out")
    assert (0, planned.out) == (shown.code, shown.out)
    assert (0, "") == (written.code, written.out)
    assert shown.out == (shop.root / "out").read_text(encoding="utf-8")


def test_the_text_can_be_written_too(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    shown = shop("show", "first.plan")
    assert 0 == shop("show", "first.plan", "-o", "out").code
    assert shown.out == (shop.root / "out").read_text(encoding="utf-8")


def test_all_forms_name_the_same_plan(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    (digits,) = {shop("show", "first.plan", "--json").json["id"][:12]}
    named = {form: digits in shop("show", "first.plan", form).out for form in FORMS}
    assert {form: form != "--gitlab" for form in FORMS} == named
    assert digits in shop("show", "first.plan").out


def test_gitlab_reads_three_counts(shop: CommandLine) -> None:
    assert {"create": 4, "update": 0, "delete": 0} == shop("plan", "--gitlab").json


def test_a_refusal_says_what_has_to_be_typed(shop: CommandLine) -> None:
    shop("apply", "--yes")
    shop("plan", "--destroy", "--max-impact", "none", "-o", "gone.plan")
    text = shop("show", "gone.plan", "--markdown").out
    assert "Gate: **refused**" in text
    assert "provisioner plan --destroy -o gone.plan --max-impact replace" in text


OPTIONS = ["--target", "*/*", "--exclude", "Network/lan", "--adopt", "Network/found"]


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--html"]], ids=["text", "markdown", "html"])
def test_the_command_that_allows_what_is_refused_can_be_typed(
    cli: CommandLine, form: list[str]
) -> None:
    """It makes the same plan, so it adopts what the plan adopts, and keeps the consents it has."""
    disks = [THROWAWAY_DISK.replace("web-root", name) for name in ("one", "two")]
    cli.declare(POOL, *disks, LAN)
    assert 0 == cli("apply", "--yes").code
    cli.outside.add("Network", "found", {"mode": "isolated", "cidr": "10.1.0.0/24"})
    cli.declare(POOL, "Network/found\nmode: isolated\ncidr: 10.1.0.0/24\n")
    gate = ["--max-impact", "live", "--allow-data-loss", "Disk/one"]
    assert 0 == cli("plan", *OPTIONS, *gate, "-o", "first.plan").code
    shown = html.unescape(cli("show", "first.plan", *form).out).replace("\\\n", " ")
    (line,) = re.findall(r"^\W*(?:<.*>)?provisioner (plan [^\n<]*-o [^\n<]*)", shown, re.M)
    words = shlex.split(line)
    assert 0 == cli(*words, "--detailed-exitcode").code - 2
    found = cli("show", "first.plan", "--json").json
    assert ["Disk/one", "Disk/two"] == found["consents"]
    adopted = [step["id"] for step in found["steps"] if step["action"] == "adopt"]
    assert ["Network/found"] == adopted


def test_a_plan_of_adoptions_says_so(cli: CommandLine) -> None:
    cli.outside.add("Network", "lan", {"mode": "isolated", "cidr": "10.0.0.0/24"})
    cli.declare(LAN, POOL)
    assert 0 == cli("adopt", "Network/*", "-o", "adopt.plan").code
    found = read_plan(cli.root / "adopt.plan")
    words = ["provisioner", "adopt", "Network/*", "--stack", "x", "-o", "adopt.plan"]
    assert words == command_of(found, Path("adopt.plan"), Path("x"))
    assert not cli("show", "adopt.plan", "--terraform").json["complete"]


@pytest.mark.parametrize("command", [["plan"], ["show", "first.plan"]], ids=["plan", "show"])
@pytest.mark.parametrize("other", ["--html", "--json"])
def test_two_forms_exclude_each_other(shop: CommandLine, command: list[str], other: str) -> None:
    shop("plan", "-o", "first.plan")
    refused = shop(*command, "--markdown", other)
    assert (1, True) == (refused.code, f"--markdown and {other}" in refused.err)
    assert "" == refused.out


@pytest.mark.parametrize("what", [".", "Network/lan"])
@pytest.mark.parametrize("option", [["--html"], ["-o", "out"]], ids=["--html", "-o"])
def test_they_are_for_plans_only(shop: CommandLine, what: str, option: list[str]) -> None:
    refused = shop("show", what, *option)
    assert (1, True) == (refused.code, f"{option[0]} can only be given for a plan" in refused.err)


def test_a_file_that_cannot_be_written(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    failed = shop("show", "first.plan", "--html", "-o", Path("no", "such", "page.html"))
    assert (1, True) == (failed.code, "PRV6028" in failed.err)


def test_a_file_that_is_not_there_is_called_that(shop: CommandLine) -> None:
    refused = shop("show", "nosuch.plan", "--html")
    assert (1, True) == (refused.code, "there is no file 'nosuch.plan'" in refused.err)


@pytest.mark.parametrize("form", [[], *([form] for form in FORMS)], ids=["text", *FORMS])
def test_only_an_older_result_of_the_same_form_is_replaced(
    shop: CommandLine, form: list[str]
) -> None:
    shop("plan", "-o", "first.plan")
    for name in ("host.yaml", "first.plan"):
        before = (shop.root / name).read_bytes()
        refused = shop("show", "first.plan", *form, "-o", name)
        assert (1, True) == (refused.code, "PRV6028" in refused.err)
        assert before == (shop.root / name).read_bytes()
    shop.write("out", "")
    codes = [shop("show", "first.plan", *form, "-o", "out").code for _ in range(2)]
    assert [0, 0] == codes
    assert 0 == shop("show", "first.plan", *form, "-o", "/dev/null").code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["plan", "-o"], "PRV2020"),
        (["plan", "--sarif"], "PRV6040"),
        (["validate", "--junit"], "PRV6040"),
        *((["graph", "--format", form, "-o"], "PRV6028") for form in ("text", "svg", "dot")),
    ],
    ids=str,
)
def test_no_result_takes_the_place_of_a_manifest(
    shop: CommandLine, command: list[str], code: str
) -> None:
    before = (shop.root / "host.yaml").read_bytes()
    refused = shop(*command, "host.yaml")
    assert (1, True) == (refused.code, code in refused.err)
    assert before == (shop.root / "host.yaml").read_bytes()
    assert [0, 0] == [shop(*command, "out").code for _ in range(2)]


@pytest.mark.parametrize(
    "form", [["--format", "mermaid"], ["--json"], ["--impact-of", "Disk/web-root"]]
)
def test_an_older_graph_is_replaced(shop: CommandLine, form: list[str]) -> None:
    assert [0, 0] == [shop("graph", *form, "-o", "out").code for _ in range(2)]
    assert 1 == shop("graph", *form, "-o", "host.yaml").code


def test_no_form_shows_a_sensitive_value(shop: CommandLine) -> None:
    secret = 'cloudInit: {userData: "password: hunter2"}'
    shop.declare(LAN, POOL, DISK, f"{WEB.rstrip()}\n{secret}\n")
    shop("plan", "-o", "first.plan")
    assert "hunter2" in (shop.root / "first.plan").read_text(encoding="utf-8")
    shown = {form: shop("show", "first.plan", form) for form in FORMS}
    assert dict.fromkeys(FORMS, (0, False)) == {
        form: (found.code, "hunter2" in found.out + found.err) for form, found in shown.items()
    }


def test_terraform_json_is_one_document(shop: CommandLine) -> None:
    document = json.loads(shop("plan", "--terraform").out)
    assert 4 == len(document["resource_changes"])
