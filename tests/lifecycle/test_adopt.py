"""``provisioner adopt``: steps that take over what exists, and no others."""

from typing import Any

import pytest

from provisioner.core.identity import Stamp
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import LAN, POOL

LAN_SPEC = {"mode": "isolated", "cidr": "10.0.0.0/24"}
OTHER = "Network/other\nmode: isolated\ncidr: 10.1.0.0/24\n"


def steps(shop: CommandLine, *arguments: str) -> list[str]:
    """The steps of the plan that a command writes to a file."""
    done = shop(*arguments, "-o", "adopt.plan", "--json")
    assert 0 == done.code
    return [f"{step['action']} {step['id']}" for step in done.json["steps"]]


def test_all_that_exists_is_adopted_and_nothing_else_is_done(cli: CommandLine) -> None:
    found = cli.outside.add("Network", "lan", {**LAN_SPEC, "mtu": 9000})
    cli.declare(LAN + "mtu: 1500\n", POOL)
    done = cli("adopt", "--yes")
    assert 0 == done.code
    assert "Plan: 1 to adopt." in done.out
    assert ["Network/lan"] == cli.objects()
    adopted = cli.outside.find("Network", "lan")
    assert adopted is not None
    assert adopted.owner is not None
    assert (found.id, found.spec) == (adopted.id, adopted.spec)
    planned = cli("plan", "--json").json["steps"]
    assert [("create", "StoragePool/pool"), ("update", "Network/lan")] == sorted(
        (step["action"], step["id"]) for step in planned
    )


def test_only_what_is_named_is_adopted(cli: CommandLine) -> None:
    for name, subnet in (("lan", "10.0.0.0/24"), ("other", "10.1.0.0/24")):
        cli.outside.add("Network", name, {"mode": "isolated", "cidr": subnet})
    cli.declare(LAN, OTHER)
    assert ["adopt Network/lan"] == steps(cli, "adopt", "Network/l*")
    assert ["adopt Network/lan", "adopt Network/other"] == steps(cli, "adopt")


def test_a_written_plan_is_adopted_later(cli: CommandLine) -> None:
    cli.outside.add("Network", "lan", LAN_SPEC)
    cli.declare(LAN)
    assert ["adopt Network/lan"] == steps(cli, "adopt")
    assert 0 == cli("apply", "adopt.plan").code
    assert "Nothing to do" in cli("plan").out


def test_an_edit_that_waits_is_not_recorded_by_an_adoption(cli: CommandLine) -> None:
    cli.declare(LAN)
    assert 0 == cli("apply", "--yes").code
    cli.outside.add("Network", "other", {"mode": "isolated", "cidr": "10.1.0.0/24"})
    cli.declare(LAN + "mtu: 9000\n", OTHER)
    assert 0 == cli("adopt", "--yes").code
    planned = cli("plan", "--json").json["steps"]
    assert [("update", "Network/lan")] == [(step["action"], step["id"]) for step in planned]


def test_what_has_an_owner_is_refused(cli: CommandLine) -> None:
    owner = Stamp("11111111-2222-3333-4444-555555555555", "Network/lan")
    found = cli.outside.add("Network", "lan", LAN_SPEC, owner)
    cli.declare(LAN)
    done = cli("adopt", "--yes", "--json")
    assert (1, ["PRV2011"]) == (done.code, done.codes)
    assert found == cli.outside.find("Network", "lan")


def test_what_is_only_observed_is_not_adopted(cli: CommandLine) -> None:
    found = cli.outside.add("Network", "lan", LAN_SPEC)
    cli.declare(LAN + "metadata.manage: [observe]\n")
    done = cli("adopt", "--yes")
    assert (0, "") == (done.code, done.out)
    assert "Nothing to adopt." in done.err
    assert found == cli.outside.find("Network", "lan")


def test_what_carries_our_stamp_is_recorded_again(cli: CommandLine) -> None:
    cli.declare(LAN)
    cli("apply", "--yes")
    cli("state", "forget", "Network/lan", "--yes")
    assert ["adopt Network/lan"] == steps(cli, "adopt")


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("Network/lam", "Did you mean Network/lan?"), ("Disk/*", "'provisioner show' lists")],
)
def test_a_pattern_that_means_nothing_is_an_error(
    cli: CommandLine, pattern: str, hint: str
) -> None:
    cli.declare(LAN)
    done = cli("adopt", pattern, "--yes", "--json")
    assert (1, ["PRV2002"]) == (done.code, done.codes)
    assert hint in done.err


def test_nobody_is_asked_without_a_terminal(cli: CommandLine) -> None:
    cli.outside.add("Network", "lan", LAN_SPEC)
    cli.declare(LAN)
    done: Any = cli("adopt", "--json")
    assert (1, ["PRV6002"]) == (done.code, done.codes)
