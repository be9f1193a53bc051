"""``provisioner dr``: keys, and plans in signed files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.signing import TrustedKeys
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.recovery import HOSTS, declare

CANARY = "canary-8c1f"


@pytest.fixture
def sites(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Two sites, applied, whose hosts want a password."""
    monkeypatch.setenv("CANARY", CANARY)
    hosts = HOSTS
    for name in ("east-1", "west-1"):
        connection = {"path": f"{name}.jsonl", "password": {"secretRef": "env://CANARY"}}
        hosts = hosts.replace(
            f"{{name: {name}}}\nspec: {{provider: memory}}",
            f"{{name: {name}}}\nspec: {{provider: memory, connection: {json.dumps(connection)}}}",
        )
    cli.write("hosts.yaml", hosts)
    cli.write("host.yaml", "")
    declare(cli)
    assert 0 == cli("apply", "--yes").code
    return cli


def test_a_plan_is_compiled_into_a_file_that_whoever_trusts_the_key_can_read(
    sites: CommandLine,
) -> None:
    made = sites("dr", "key", "ops", "--name", "Ada", "--json").json
    done = sites("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops", "--json").json
    trusted = TrustedKeys.read(sites.root / "ops.pub")
    stored = storing.read(sites.root / "shop.dr", trusted, datetime.now(UTC))
    assert (made["key"], ["east", "west"]) == (done["key"], done["sites"])
    assert (done["digest"], "Ada") == (stored.digest, stored.signed_by)
    assert {"west-1.jsonl", "east-1.jsonl"} == {
        record.spec["connection"]["path"] for record in stored.plan.endpoints.values()
    }


def test_what_is_stored_refers_to_secrets_and_has_none(sites: CommandLine) -> None:
    sites("dr", "key", "ops")
    sites("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    text = (sites.root / "shop.dr").read_text()
    assert "env://CANARY" in text
    assert CANARY not in text


def test_the_key_of_the_users_configuration(
    sites: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    (home / "provisioner").mkdir(mode=0o700)
    configuration = home / "provisioner" / "config.yaml"
    configuration.write_text(f"recovery: {{signingKey: {home / 'ops'}}}\n")
    sites("dr", "key", home / "ops")
    assert 0 == sites("dr", "compile", "RecoveryPlan/shop", "-o", "shop.dr").code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["compile", "shop", "-o", "shop.dr"], "PRV7047"),
        (["compile", "shop", "-o", "shop.dr", "--key", "nothing"], "PRV7047"),
        (["compile", "nothing", "-o", "shop.dr", "--key", "ops"], "PRV7030"),
        (["compile", "shop", "-o", "hosts.yaml", "--key", "ops"], "PRV7040"),
        (["key", "ops"], "PRV7049"),
    ],
)
def test_what_is_refused(
    sites: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(sites.root / "nowhere"))
    sites("dr", "key", "ops")
    hosts = (sites.root / "hosts.yaml").read_text()
    done = sites("dr", *arguments, "--json")
    assert (1, [code]) == (done.code, done.codes)
    assert not (sites.root / "shop.dr").exists()
    assert hosts == (sites.root / "hosts.yaml").read_text()


def test_a_command_of_the_group_that_is_none(cli: CommandLine) -> None:
    done = cli("dr", "compil")
    assert (1, True) == (done.code, "Did you mean 'compile'?" in done.err)


def test_a_policy_is_shown_as_declared_and_never_as_recorded(sites: CommandLine) -> None:
    done = sites("show", "SitePair/both")
    assert 0 == done.code
    assert "  Site/east" in done.out.splitlines()
    assert "  ProtectionGroup/shop" in done.out.splitlines()
    assert "Recorded" not in done.out
    data = sites("show", "SitePair/both", "--json").json
    assert ["ProtectionGroup/shop"] == data["dependents"]


def test_what_is_said_to_people(sites: CommandLine) -> None:
    sites("dr", "key", "ops")
    done = sites("dr", "compile", "shop", "-o", Path("shop.dr"), "--key", "ops")
    first, second = done.out.splitlines()
    assert "shop.dr: RecoveryPlan/shop of 2 machines, from east to west." == first
    assert second.endswith("may be used for 168 hours.")
