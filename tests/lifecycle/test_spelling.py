"""The same thing in other words is no change."""

import pytest

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL

WEB = """
VirtualMachine/web
cpu: {count: 2, max: 4}
memory: {size: 1GiB}
disks: [{disk: web-root}]
nics: [{name: lan, network: lan, mac: "52:54:00:ab:cd:ef"}, {name: other, network: lan}]
"""
OTHER_WORDS = {
    "a size in other units": ("1GiB}", "1024MiB}"),
    "a space before the unit": ("1GiB}", "1 GiB}"),
    "a MAC address in capitals with dashes": ("52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF"),
    "keys in another order": ("{count: 2, max: 4}", "{max: 4, count: 2}"),
    "a list without order in another order": (
        '{name: lan, network: lan, mac: "52:54:00:ab:cd:ef"}, {name: other, network: lan}',
        '{name: other, network: lan}, {name: lan, network: lan, mac: "52:54:00:ab:cd:ef"}',
    ),
    "a comment": ("cpu:", "# what it computes with\ncpu:"),
}


@pytest.mark.parametrize("change", OTHER_WORDS.values(), ids=OTHER_WORDS)
def test_it_is_no_change(scenario: Scenario, change: tuple[str, str]) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    said = WEB.replace(*change)
    assert WEB != said
    scenario.declare(said, DISK, POOL, LAN)
    plan = scenario.plan()
    assert ([], ()) == (outline(plan), plan.refresh)
