"""Every exit code that docs/command-line.md promises."""

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import ALL, LAN, POOL, THROWAWAY_DISK, WEB

PROTECTED = "Network/lan\nmetadata.protect: true\nmode: isolated\ncidr: 10.0.0.0/24\n"


def test_0_nothing_to_do(shop: CommandLine) -> None:
    shop("apply", "--yes")
    assert [0, 0, 0] == [
        shop("plan", "--detailed-exitcode").code,
        shop("apply").code,
        shop("drift").code,
    ]


def test_1_errors_in_manifests(shop: CommandLine) -> None:
    shop.write("more.yaml", "apiVersion: provisioner/v1\nkind: Netwrk\n")
    assert [1, 1, 1, 1] == [
        shop(command).code for command in ("validate", "plan", "apply", "graph")
    ]


def test_1_nothing_could_be_done(shop: CommandLine) -> None:
    shop.faults({"call": "create", "effect": "terminal", "times": 0})
    finished = shop("apply", "--yes")
    assert 1 == finished.code
    assert "PRV5902" in finished.err


def test_2_changes_only_if_asked_for(shop: CommandLine) -> None:
    assert [0, 2] == [shop("plan").code, shop("plan", "--detailed-exitcode").code]


def test_2_drift(shop: CommandLine) -> None:
    shop("apply", "--yes")
    shop.outside.remove("VirtualMachine", "web")
    assert 2 == shop("drift").code


def test_3_stale_plan(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    shop("apply", "--yes")
    stale = shop("apply", "first.plan", "--json")
    assert 3 == stale.code
    assert {"PRV3001"} == set(stale.codes)


def test_4_held_steps_remain(shop: CommandLine) -> None:
    shop.declare(PROTECTED, POOL)
    shop("apply", "--yes")
    assert 4 == shop("destroy", "--yes").code
    assert ["Network/lan"] == shop.objects()
    assert 4 == shop("plan", "--destroy", "--detailed-exitcode").code
    assert 0 == shop("plan", "--destroy").code


def test_5_gate(shop: CommandLine) -> None:
    shop.declare(LAN, POOL, THROWAWAY_DISK, WEB)
    shop("apply", "--yes")
    refused = shop("destroy", "--yes")
    assert 5 == refused.code
    assert "provisioner destroy --yes --allow-data-loss Disk/web-root\n" in refused.out
    assert (
        "error[PRV3002]: the plan is refused: 1 step beyond what is allowed\n"
        == (refused.err.partition("resources\n")[2])
    )
    assert 4 == len(shop.objects())
    assert 5 == shop("plan", "--destroy", "--detailed-exitcode").code
    assert 0 == shop("destroy", "--yes", "--allow-data-loss", "Disk/web-root").code
    assert [] == shop.objects()


def test_6_applied_in_part(shop: CommandLine) -> None:
    shop.faults({"call": "create", "address": "Disk/*", "effect": "terminal", "times": 0})
    finished = shop("apply", "--yes")
    assert 6 == finished.code
    assert ["Network/lan", "StoragePool/pool"] == shop.objects()
    assert "Applied: 2 steps done, 1 failed, 1 skipped." in finished.out
    shop.faults()
    assert 0 == shop("apply", "--yes").code


def test_plan_never_changes_anything(shop: CommandLine) -> None:
    shop.declare(*ALL)
    shop("plan")
    assert [] == shop.objects()
