"""What a change does to a guest is judged by the machine as it runs, and said in words."""

from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.providers.api import Assessment, Change, Present
from provisioner_plugins.kvm import provider
from tests.unit.kvm.specs import KIB, MIB, machine

FACTS: dict[str, Any] = {
    "accelerator": "kvm",
    "maxVcpus": 4,
    "fixedVcpus": 2,
    "maxMemory": 64 * MIB,
    "balloon": True,
    "freeSlots": 2,
    "scsi": False,
    "seed": True,
    "snapshots": False,
}


def judge(*changes: Change, power: str = "running", **facts: Any) -> list[Assessment]:
    observed = Present("id", None, {"power": power}, "print", facts={**FACTS, **facts})
    return list(provider().impact(machine({"memory": {"size": MIB}}), observed, changes))


def change(path: str, before: Any, after: Any, **rest: Any) -> Change:
    return Change(tuple(path.split(".")), before, after, **rest)


@pytest.mark.parametrize(
    ("changed", "facts", "impact", "reason"),
    [
        (change("description", "a", "b"), {}, "none", ""),
        (change("labels.tier", "a", "b"), {}, "live", ""),
        (change("autostart", 0, 1), {}, "live", ""),
        (change("shutdownTimeout", 1, 2), {}, "none", ""),
        (change("cpu.count", 2, 4), {}, "live", ""),
        (
            change("cpu.count", 2, 8),
            {},
            "restart",
            "8 vCPUs exceed the maximum of 4 that the running machine was started with",
        ),
        (change("cpu.count", 4, 2), {}, "live", ""),
        (change("cpu.count", 4, 2), {"accelerator": "tcg"}, "restart", "software emulation"),
        (change("cpu.count", 2, 4), {"accelerator": "tcg"}, "live", ""),
        (
            change("cpu.count", 4, 1),
            {},
            "restart",
            "2 of its vCPUs were there when it was started, and those cannot be unplugged",
        ),
        (change("memory.size", 16 * MIB, 64 * MIB), {}, "live", "balloon"),
        (change("memory.size", MIB, KIB), {"saved": True}, "restart", "has a saved state"),
        (change("description", "a", "b"), {"saved": True}, "restart", "has a saved state"),
        (change("labels.tier", "a", "b"), {"saved": True}, "live", ""),
        (
            change("memory.size", 16 * MIB, 128 * MIB),
            {},
            "restart",
            "128MiB exceed the maximum of 64MiB that the running machine was started with",
        ),
        (change("memory.size", 1, KIB), {"balloon": False}, "restart", "no memory balloon"),
        (change("firmware.type", "bios", "uefi"), {}, "restart", "keeps what it was started with"),
        (change("machineType", "pc", "q35"), {}, "restart", "keeps what it was started with"),
        (change("machineType", "pc", None), {}, "none", "the board stays"),
        (change("disks.alpha", None, {}), {}, "live", "plugged in"),
        (change("disks.alpha", None, {}), {"freeSlots": 0}, "restart", "no free slot"),
        (change("disks.alpha", None, {"bus": "scsi"}), {"freeSlots": 0}, "restart", "no free slot"),
        (change("disks.alpha", None, {"bus": "scsi"}), {"freeSlots": 0, "scsi": True}, "live", ""),
        (change("disks.alpha", None, {"bus": "sata"}), {}, "restart", "on the bus sata"),
        (change("disks.alpha", {"bus": "virtio"}, None), {}, "live", "unplugged"),
        (change("disks.alpha", {"bus": "virtio"}, None), {"snapshots": True}, "live", "snapshots"),
        (change("disks.alpha", {"bus": "sata"}, None), {}, "restart", "cannot be unplugged"),
        (change("disks.alpha.cache", "none", "unsafe"), {}, "restart", "plugged in"),
        (change("nics.lan", None, {"network": "blue"}), {}, "live", "plugged in"),
        (change("nics.lan.link", "up", "down"), {}, "live", ""),
        (change("nics.lan.network", "blue", "red"), {}, "live", ""),
        (change("nics.lan.network", "blue", "outside"), {}, "restart", "mode user"),
        (change("nics.lan.mac", "52:54:00:00:00:01", None), {}, "none", "stays"),
        (change("nics.lan.mac", "52:54:00:00:00:01", "52:54:00:00:00:02"), {}, "restart", ""),
        (change("cdroms.setup.image", "installer", None), {}, "live", ""),
        (change("cdroms.setup", None, {}), {}, "restart", "CD drive"),
        (change("cloudInit.userData", "a", "b"), {}, "live", "exchanged"),
        (change("cloudInit", None, {"userData": "a"}), {"seed": False}, "restart", "no drive"),
        (change("power", "running", "stopped"), {}, "restart", "shut down"),
        (change("power", "running", "suspended"), {}, "restart", "halted"),
        (change("native", None, {"kvm": {}}), {}, "restart", "started with"),
    ],
    ids=lambda value: ".".join(value.path) if isinstance(value, Change) else None,
)
def test_a_change_of_a_running_machine(
    changed: Change, facts: dict[str, Any], impact: str, reason: str
) -> None:
    (found,) = judge(changed, **facts)
    assert impact == found.impact
    assert reason in found.reason


@pytest.mark.parametrize("path", ["cpu.max", "firmware.type", "disks.alpha.cache", "native"])
def test_a_stopped_machine_has_nothing_to_restart(path: str) -> None:
    assert [Assessment(Impact.LIVE, "the machine is stopped")] == judge(
        change(path, 1, 2), power="stopped"
    )


@pytest.mark.parametrize(
    ("power", "after", "impact"),
    [
        ("stopped", "running", Impact.LIVE),
        ("stopped", "suspended", Impact.LIVE),
        ("suspended", "running", Impact.LIVE),
        ("suspended", "stopped", Impact.RESTART),
    ],
)
def test_starting_interrupts_nobody(power: str, after: str, impact: Impact) -> None:
    (found,) = judge(change("power", power, after), power=power)
    assert impact == found.impact


def test_slots_are_used_up_one_after_the_other() -> None:
    changes = [change(f"disks.{name}", None, {}) for name in ("alpha", "beta", "gamma")]
    impacts = [found.impact for found in judge(*changes)]
    assert [Impact.LIVE, Impact.LIVE, Impact.RESTART] == impacts


def test_a_halted_guest_lets_go_of_nothing() -> None:
    (found,) = judge(change("disks.alpha", {"bus": "virtio"}, None), power="suspended")
    assert Impact.RESTART == found.impact


@pytest.mark.parametrize(
    ("path", "configured", "running"),
    [
        ("disks.alpha", None, {"bus": "virtio"}),
        ("nics.lan", None, {"network": "blue"}),
        ("cpu.count", 2, 3),
        ("cdroms.setup.image", "tools", "installer"),
        ("memory.size", 16 * MIB, 20 * MIB),
        ("cloudInit", None, {}),
        ("cloudInit", {"userData": "a"}, None),
    ],
)
def test_what_the_guest_has_not_done_waits(path: str, configured: Any, running: Any) -> None:
    """What somebody else did to the running machine alone looks the same but for ``pending``."""
    changed = change(path, configured, configured, running=running, differs_running=True)
    (waits,) = judge(replace(changed, pending=True))
    assert Impact.RESTART == waits.impact
    (by_hand,) = judge(changed)
    assert Impact.LIVE == by_hand.impact


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize(
    ("path", "configured", "running", "impact"),
    [
        ("disks.alpha", {"bus": "virtio"}, None, "live"),
        ("disks.alpha", {"bus": "sata"}, None, "restart"),
        ("cpu.count", 3, 2, "live"),
        ("cpu.count", 1, 3, "restart"),
        ("nics.lan.network", "red", "blue", "live"),
        ("memory.max", 2, 1, "restart"),
    ],
)
def test_what_is_not_in_force_is_judged_by_what_is(
    pending: bool, path: str, configured: Any, running: Any, impact: str
) -> None:
    changed = change(path, configured, configured, running=running, differs_running=True)
    (found,) = judge(replace(changed, pending=pending))
    assert impact == found.impact


def test_a_machine_without_a_definition_gets_one_while_it_runs() -> None:
    (found,) = judge(change("memory.size", None, 16 * MIB), withoutDefinition=16 * MIB)
    reason = "it has no definition, and would be gone when it stops: it is defined, and runs on"
    assert Assessment(Impact.LIVE, reason) == found
