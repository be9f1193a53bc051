"""What a change does to a machine of vSphere that runs, is stopped or suspended, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.fields import Field
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.machine.impact import ANYHOW, BOOKKEEPING, JUDGES, LIVE
from provisioner_plugins.vmware.machine.power_cycle import POWER_CYCLE, PowerCycle
from provisioner_plugins.vmware.machine.rules import OF_DISKS, WITHOUT, MachineRules

GIB = 2**30
WEB = Address("VirtualMachine", "web")
STAMP = Stamp("lineage", str(WEB), 0)
HOT: dict[str, Any] = {
    "cpu": {"count": 4, "max": 8, "hotAdd": True, "topology": {"cores": 2}},
    "memory": {"size": 4 * GIB, "max": 8 * GIB, "hotAdd": True},
    "guestOs": "windows2019srv_64Guest",
}
COLD: dict[str, Any] = {
    "cpu": {"count": 4, "max": 4, "hotAdd": False, "topology": {"cores": 1}},
    "memory": {"size": 4 * GIB, "max": 4 * GIB, "hotAdd": False},
}
ROOM: dict[str, Json] = {"hotAddLimit": 64 * GIB, "hotAddStep": GIB}
ON, OFF = True, False
IDE, SATA = {"bus": "ide"}, {"bus": "sata"}


def assessed(power: str, change: Change, spec: Mapping[str, Any] = HOT) -> Assessment:
    """What is said of one change of a machine with ``spec`` and :data:`ROOM`."""
    resource = Resource(WEB, "web", UUID(int=1), STAMP, spec)
    observed = Present("id", STAMP, spec, "", facts={"power": power, **ROOM})
    [found] = MachineRules().impact(resource, observed, [change])
    return found


def native(**keys: str | None) -> Json:
    """A value of ``native.vcenter``."""
    return {"extraConfig": {key.replace("__", "."): value for key, value in keys.items()}}


class Example(NamedTuple):
    """A change that a row of the table is about."""

    path: Path
    before: Json
    after: Json
    reason: str
    spec: Mapping[str, Any] = HOT


LINUX = {**HOT, "memory": {"size": 2 * GIB, "hotAdd": True}, "guestOs": "debian12_64Guest"}
TOPOLOGY = "processors are put into sockets when it starts"
ORDER = "the order of booting is read when it starts"
FLAG = "hot-add is switched on and off while it is off"
EXAMPLES = (
    Example(("cpu", "count"), 4, 6, "cpu.hotAdd is off", COLD),
    Example(("cpu", "count"), 4, 2, "processors cannot be taken away while it runs"),
    Example(
        ("cpu", "count"),
        4,
        5,
        "5 processors are no whole sockets of the 2 cores that it has in each",
    ),
    Example(("cpu", "topology", "sockets"), 2, 1, TOPOLOGY),
    Example(("cpu", "topology", "cores"), 2, 4, TOPOLOGY),
    Example(("cpu", "topology", "threads"), 2, 1, TOPOLOGY),
    Example(("cpu", "nested"), OFF, ON, "what its processors offer is fixed while it runs"),
    Example(("cpu", "hotAdd"), OFF, ON, FLAG),
    Example(("cpu", "max"), 4, 8, FLAG, COLD),
    Example(("memory", "size"), 4 * GIB, 8 * GIB, "memory.hotAdd is off", COLD),
    Example(("memory", "size"), 4 * GIB, 2 * GIB, "memory cannot be taken away while it runs"),
    Example(
        ("memory", "size"),
        2 * GIB,
        4 * GIB,
        "a Linux guest that has less than 3GiB cannot be given more than that while it runs",
        LINUX,
    ),
    Example(
        ("memory", "size"),
        4 * GIB,
        128 * GIB,
        "since it was started it has room for 64GiB at most",
    ),
    Example(
        ("memory", "size"),
        4 * GIB,
        4 * GIB + 2**29,
        "while it runs memory is added in steps of 1GiB",
    ),
    Example(("memory", "hotAdd"), ON, OFF, FLAG),
    Example(("memory", "max"), 8 * GIB, 4 * GIB, FLAG),
    Example(
        ("firmware", "type"),
        "uefi",
        "uefi-secure",
        "Secure Boot is switched on and off while it is off",
    ),
    Example(("firmware", "type"), "bios", "uefi", "it runs on the firmware that it started with"),
    Example(("firmware", "tpm"), OFF, ON, "a TPM is plugged in while it is off"),
    Example(("firmware", "tpm"), ON, OFF, "a TPM is taken away while it is off"),
    Example(("machineType",), "vmx-19", "vmx-20", "a hardware version is raised while it is off"),
    Example(("guestOs",), "debian12_64Guest", None, "its system is said while it is off"),
    Example(("disks", "a"), None, IDE, "an IDE disk cannot be plugged in while it runs"),
    Example(("disks", "a"), IDE, None, "an IDE disk cannot be taken away while it runs"),
    Example(
        ("disks", "a", "bus"),
        "scsi",
        "sata",
        "a disk stays where it is plugged in while it runs",
    ),
    Example(("disks", "a", "bootOrder"), 1, 2, ORDER),
    Example(("nics", "lan", "model"), "e1000", None, "a card keeps its model while it runs"),
    Example(("nics", "lan", "mac"), None, "a", "a card keeps its address while it runs"),
    Example(("nics", "lan", "bootOrder"), 1, 2, ORDER),
    Example(("cdroms", "it"), None, SATA, "a CD drive cannot be plugged in while it runs"),
    Example(("cdroms", "it"), SATA, None, "a CD drive cannot be taken away while it runs"),
    Example(
        ("cdroms", "it", "bus"),
        "sata",
        "ide",
        "a drive stays where it is plugged in while it runs",
    ),
    Example(("cdroms", "it", "bootOrder"), 1, None, ORDER),
    Example(("customization", "hostName"), "a", "b", "the guest is configured anew at a start"),
    Example(
        ("native", "vcenter"),
        native(disk__EnableUUID="TRUE", guestinfo__role="db"),
        native(guestinfo__role="db"),
        "most keys of the extra configuration count from the next start",
    ),
)


@pytest.mark.parametrize(
    ("row", "example"),
    list(zip(POWER_CYCLE, EXAMPLES, strict=True)),
    ids=lambda item: ".".join(item.path),
)
def test_every_row_of_the_table_needs_a_power_cycle(row: PowerCycle, example: Example) -> None:
    assert row.source
    assert row.path == tuple(
        "*" if part == "*" else here for part, here in zip(row.path, example.path, strict=False)
    )
    change = Change(example.path, example.before, example.after)
    assert Assessment(
        Impact.RESTART, f"{example.reason}: the machine is switched off for it", deferrable=False
    ) == assessed("running", change, example.spec)
    assert Impact.LIVE is assessed("stopped", change, example.spec).impact
    lost = assessed("suspended", change, example.spec)
    assert Impact.RESTART is lost.impact
    assert lost.reason.endswith("and what its suspended memory holds is lost")


@pytest.mark.parametrize(
    ("path", "before", "after", "spec", "reason"),
    [
        (("cpu", "count"), 4, 6, HOT, "processors can be added while it runs (cpu.hotAdd)"),
        (
            ("memory", "size"),
            4 * GIB,
            64 * GIB,
            HOT,
            "memory can be added while it runs (memory.hotAdd)",
        ),
        (
            ("memory", "size"),
            2 * GIB,
            3 * GIB,
            LINUX,
            "memory can be added while it runs (memory.hotAdd)",
        ),
        (("cpu", "max"), 8, 6, HOT, "it only says how far one may go"),
        (("disks", "a"), None, SATA, HOT, ""),
        (("nics", "lan", "link"), "up", "down", HOT, ""),
        (
            ("native", "vcenter", "extraConfig", "guestinfo.role"),
            "db",
            "web",
            HOT,
            "a guest reads guestinfo keys whenever it asks for them",
        ),
        (
            ("cloudInit", "userData"),
            "a",
            "b",
            HOT,
            "the data are exchanged; a guest reads them when it starts for the first time",
        ),
    ],
)
def test_what_a_running_machine_takes(
    path: Path, before: Json, after: Json, spec: Mapping[str, Any], reason: str
) -> None:
    change = Change(path, before, after)
    assert Assessment(Impact.LIVE, reason) == assessed("running", change, spec)


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (("cpu", "count"), 6),
        (("cpu", "shares"), "high"),
        (("memory", "limit"), GIB),
        (("disks", "a"), SATA),
        (("nics", "lan"), {"network": "lan"}),
        (("nics", "lan", "network"), "dmz"),
        (("cdroms", "it", "image"), "iso"),
    ],
)
def test_a_suspended_machine_loses_its_memory_for_a_change_of_its_hardware(
    path: Path, after: Json
) -> None:
    assert Assessment(
        Impact.RESTART,
        "neither devices nor processors, memory and shares of a suspended machine can be changed: "
        "the machine is switched off for it, and what its suspended memory holds is lost",
        deferrable=False,
    ) == assessed("suspended", Change(path, None, after))


@pytest.mark.parametrize("path", [("description",), ("labels", "tier"), ("placement", "folder")])
def test_a_suspended_machine_takes_what_is_no_hardware(path: Path) -> None:
    assert Assessment(Impact.LIVE) == assessed("suspended", Change(path, None, "it"))


def test_switching_a_suspended_machine_off_loses_its_memory() -> None:
    assert Assessment(
        Impact.RESTART,
        "the machine is switched off, and what its suspended memory holds is lost",
        deferrable=False,
    ) == assessed("suspended", Change(("power",), "suspended", "stopped"))


def test_a_field_that_nothing_is_known_of_is_no_live_one() -> None:
    assert Impact.RESTART is assessed("running", Change(("surprise",), 1, 2)).impact


# Every field of the schema is one that is judged

OF_OTHERS = {("power",), ("clone",), ("placement", "host"), ("nics", "*", "address")}
"""Power by itself; copies and hosts are no changes of a machine; vSphere gives no addresses."""


def test_every_field_of_the_schema_is_judged() -> None:
    spec = SchemaCatalog.installed().kind("VirtualMachine").canonical
    fields = set(_fields(spec, ()))
    known = {
        *(row.path for row in POWER_CYCLE),
        *LIVE,
        *ANYHOW,
        *((name,) for name in (*BOOKKEEPING, *JUDGES)),
        *(path for path, *_ in WITHOUT),
        *(("disks", "*", name) for name, *_ in OF_DISKS),
        *OF_OTHERS,
    }
    assert {("cpu", "count"), ("disks", "*", "bus")} < fields
    assert set() == {path for path in fields if not _is_judged(path, known)}


def _fields(field: Field, path: Path) -> Iterator[Path]:
    """The fields that hold values; an element of a set is itself one, called by its key."""
    if field.set_key is not None and field.rest is not None:
        element = (*path, "*")
        yield element
        for name, child in field.rest.children.items():
            if name != field.set_key:
                yield from _fields(child, (*element, name))
    elif field.children:
        for name, child in field.children.items():
            yield from _fields(child, (*path, name))
    else:
        yield path


def _is_judged(path: Path, known: Collection[Path]) -> bool:
    """What is said of a device, or of a field of devices, is about that alone."""
    return any(path == item or ("*" not in item and path[: len(item)] == item) for item in known)
