"""Commands as messages name them: so that they can be pasted."""

from __future__ import annotations

import pytest

from provisioner.core.diagnostics import error
from provisioner.service.recovery.commands import Commands

STORED = Commands("shop", ("--from", "the plan/shop.plan"), ("--allow-age",))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (STORED("status"), "provisioner dr status shop --from 'the plan/shop.plan'"),
        (STORED("resume"), "provisioner dr resume shop --from 'the plan/shop.plan' --allow-age"),
        (
            STORED("answer", "approve/ops/1", "yes"),
            "provisioner dr answer shop approve/ops/1 yes --from 'the plan/shop.plan'",
        ),
        (Commands("", ("--journal", "a.db"))("cancel"), "provisioner dr cancel --journal a.db"),
    ],
)
def test_a_command_has_the_files_of_the_present_one(command: str, expected: str) -> None:
    assert expected == command


def test_the_hint_of_a_step_is_completed() -> None:
    commands = Commands("shop", ("--journal", "a.db"))
    hint = "Run 'provisioner dr cleanup', and 'provisioner dr compile' or 'provisioner dr test x'."
    found = commands.completed(error("PRV7082", "gone", hint=hint))
    assert hint.replace("cleanup", "cleanup shop --journal a.db", 1) == found.hint


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("dr test", "dr test shop --from a.plan --trusted keys"),
        ("dr reprotect PLAN", "dr reprotect shop --from a.plan --trusted keys"),
        ("dr plan failover", "dr plan shop failover --from a.plan --trusted keys"),
        ("replicate run", "replicate run shop --from a.plan --trusted keys"),
        ("dr status", "dr status shop --from a.plan"),
        (
            "dr failover --without db --without web-1",
            "dr failover shop --without db --without web-1 --from a.plan --trusted keys",
        ),
        (
            "dr reprotect --running-at west --with db",
            "dr reprotect shop --running-at west --with db --from a.plan --trusted keys",
        ),
        ("dr key FILE", "dr key FILE"),
    ],
)
def test_hints_get_the_options_that_the_command_in_them_takes(named: str, expected: str) -> None:
    commands = Commands("shop", ("--from", "a.plan"), reading=("--trusted", "keys"))
    found = commands.completed(error("PRV7079", "none", hint=f"Run 'provisioner {named}'."))
    assert f"Run 'provisioner {expected}'." == found.hint
