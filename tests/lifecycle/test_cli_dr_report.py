"""``provisioner dr report``: evidence of runs that were, signed and checked."""

from __future__ import annotations

import json

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import two_running_sites
from tests.lifecycle.results import misfits

PLAN = """\
groups: [{group: shop}]
machines: [{machine: db, tier: 1}, {machine: web, tier: 2, after: [{machine: db}]}]
fencing: [{command: {argv: ['true']}, timeout: 1m}]
suspend: [{machine: batch}]
recoveryTimeObjective: 30m"""


@pytest.fixture
def sites(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(cli.root / "nowhere"))
    two_running_sites(cli, {"RecoveryPlan/shop": PLAN})
    cli("replicate", "run")
    cli("dr", "key", "ops", "--name", "Ada")
    return cli


def test_a_drill_its_clean_up_and_a_failover(sites: CommandLine) -> None:
    assert 0 == sites("dr", "test", "shop").code
    drill = sites("dr", "report", "shop", "--unsigned", "--json").json
    assert ("test", None, None) == (drill["mode"], drill["left"], drill["signature"])
    assert 0 == sites("dr", "cleanup", "shop").code
    assert 0 == sites("dr", "failover", "shop", "--yes").code
    again = sites("dr", "report", "shop", drill["run"], "--key", "ops", "--json").json
    assert (0, 2) == (again["left"]["count"], len(again["machines"]))
    assert all(item["taken"] and item["within"] for item in again["machines"])
    found = sites("dr", "report", "shop", "--key", "ops", "--json").json
    assert ("failover", "succeeded") == (found["mode"], found["outcome"])
    assert (True, 1800) == (found["time"]["within"], found["time"]["objectiveSeconds"])
    assert ["VirtualMachine/batch"] == found["suspended"]
    for machine in found["machines"]:
        assert machine["within"]
        assert 0 < machine["sinceFencedSeconds"] < machine["recoverySeconds"]
    for document in (drill, again, found):
        assert [] == misfits("recovery-report", document)


def test_a_signed_report_is_believed_and_an_altered_one_is_not(sites: CommandLine) -> None:
    assert 0 == sites("dr", "migrate", "shop", "--yes").code
    assert 0 == sites("dr", "report", "shop", "-o", "run.json", "--key", "ops").code
    verify = ("dr", "report", "--verify", "run.json", "--trusted", "ops.pub")
    told = sites(*verify, "--json").json
    assert ("Ada", "migrate", "succeeded") == (told["signedBy"], told["mode"], told["outcome"])
    assert "as signed by Ada." in sites(*verify).out
    document = json.loads((sites.root / "run.json").read_text())
    assert [0, 0] == [item["lossSeconds"] for item in document["machines"]]
    document["actor"] = "somebody else"
    (sites.root / "run.json").write_text(json.dumps(document))
    done = sites(*verify, "--json")
    assert (1, ["PRV7042"]) == (done.code, done.codes)


def test_forms_and_what_they_replace(sites: CommandLine) -> None:
    assert 0 == sites("dr", "test", "shop").code
    journal = next(sites.root.rglob("shop.db"))
    for name, opening in (
        ("run.html", "<!DOCTYPE html>"),
        ("run.md", "<!-- provisioner report "),
        ("run.txt", "Report of the run: Drill of shop"),
    ):
        for _ in range(2):  # an older one is replaced
            done = sites("dr", "report", "--journal", journal, "-o", name, "--key", "ops")
            assert 0 == done.code
        assert (sites.root / name).read_text().startswith(opening)
    done = sites("dr", "report", "shop", "-o", "hosts.yaml", "--json", "--key", "ops")
    assert (1, ["PRV6028"]) == (done.code, done.codes)
    assert sites("dr", "report", "shop").out.startswith("Report of the run: Drill of shop")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["shop"], "PRV7132"),
        (["shop", "20260101T000000Z-1"], "PRV7003"),
        (["shop", "other"], "PRV7003"),
        ([], "PRV7132"),
        (["a", "b", "c"], "PRV6001"),
        (["shop", "--verify", "run.json"], "PRV6001"),
        (["--verify", "hosts.yaml", "--trusted", "ops.pub"], "PRV7130"),
        (["--verify", "hosts.yaml"], "PRV7048"),
    ],
)
def test_what_cannot_be_reported_is_said(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(cli.root / "nowhere"))
    two_running_sites(cli, {"RecoveryPlan/shop": PLAN})
    cli("dr", "key", "ops")
    done = cli("dr", "report", *arguments, "--json")
    assert (1, [code]) == (done.code, done.codes)


def test_evidence_wants_a_key(sites: CommandLine) -> None:
    assert 0 == sites("dr", "test", "shop").code
    for form in ("json", "markdown", "html"):
        done = sites("dr", "report", "shop", "--format", form)
        assert (1, True) == (done.code, "PRV7047" in done.err)
