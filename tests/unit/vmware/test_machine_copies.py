"""Copies of templates and the customisation of guests: what is refused before anything is asked of
an endpoint, what a change does to the guest, and what is told of disks that came with a machine.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Change, Present, Resource

pytest.importorskip("pyVmomi")

from provisioner_plugins.vmware.allocation import Allocation
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.machine import boot
from provisioner_plugins.vmware.machine.reading import OWN, Machine, Names, spec_of
from provisioner_plugins.vmware.machine.record import CARD, CONTROLLER, DISK, Device, Record
from provisioner_plugins.vmware.machine.rules import MachineRules
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.sweep import Row

MEMORY = {"memory": {"size": 2**26}}
WEB = Address("VirtualMachine", "web")
STAMP = Stamp("lineage", str(WEB))


def refused(flavour: Flavour = VCENTER, **spec: Any) -> list[Any]:
    resource = Resource(WEB, "web", UUID(int=1), STAMP, {**MEMORY, **spec})
    try:
        MachineRules().normalise(resource, flavour)
    except ProvisionerError as problem:
        return [item.path for item in problem.diagnostics]
    return []


def test_an_esxi_host_neither_clones_nor_customises() -> None:
    fields: dict[str, Any] = {"clone": {"image": "debian"}, "customization": {"hostName": "web"}}
    assert [("clone",), ("customization",)] == refused(ESXI, **fields)
    assert [] == refused(VCENTER, **fields)


def test_a_host_name_has_no_domain_in_it() -> None:
    told = {"hostName": "web.lab.example"}
    assert [("customization", "hostName")] == refused(customization=told)


@pytest.mark.parametrize(
    ("guest", "found"),
    [
        ("windows2022srvNext_64Guest", [("customization",)]),
        ("freebsd14_64Guest", [("customization",)]),
        ("otherGuest64", [("customization",)]),
        ("debian12_64Guest", []),
        ("other6xLinux64Guest", []),
        ("otherLinux64Guest", []),
    ],
)
def test_only_linux_guests_are_customised(guest: str, found: list[Any]) -> None:
    assert found == refused(guestOs=guest, customization={"hostName": "web"})


@pytest.mark.parametrize(
    ("power", "after", "impact"),
    [
        ("running", {"hostName": "new"}, Impact.RESTART),
        ("suspended", {"hostName": "new"}, Impact.RESTART),
        ("stopped", {"hostName": "new"}, Impact.LIVE),
        ("running", None, Impact.NONE),
    ],
)
def test_a_guest_is_customised_at_a_start(power: str, after: Any, impact: Impact) -> None:
    resource = Resource(WEB, "web", UUID(int=1), STAMP, MEMORY)
    observed = Present("id", STAMP, MEMORY, "", facts={"power": power})
    change = Change(("customization",), {"hostName": "old"}, after)
    [found] = MachineRules().impact(resource, observed, [change])
    assert (impact, impact is not Impact.RESTART) == (found.impact, found.deferrable)


# What came with a machine

BASE, DATA = FileId("datastore-1", "web/web.vmdk"), FileId("datastore-1", "provisioner/data.vmdk")
NAMES = Names(network=str, disk=lambda file: "data" if file == DATA else str(file), image=str)
ADOPTED = Names(network=str, disk=lambda file: "root" if file == BASE else "data", image=str)


def copy(*order: int) -> Machine:
    """A machine with the disk 2000 of its template, a disk 2001 of the stack and a card 4000."""
    devices = (
        Device(CONTROLLER, 1000, "pvscsi"),
        Device(DISK, 2000, place=(1000, 0), file=BASE),
        Device(DISK, 2001, place=(1000, 1), file=DATA),
        Device(CARD, 4000, mac="00:50:56:80:00:01"),
    )
    record = Record(
        uuid="uuid",
        annotation="",
        guest="debian12_64Guest",
        version="vmx-19",
        uefi=False,
        secure=False,
        order=order,
        home="[one] web/web.vmx",
        processors=1,
        cores=1,
        memory=64,
        more_processors=False,
        more_memory=False,
        most_memory=0,
        memory_step=0,
        nested=False,
        cpu=Allocation(),
        ram=Allocation(),
        mark="",
        standby="",
        devices=devices,
    )
    row = Row("vm-1", object, {"runtime.powerState": "poweredOff"})
    mark = Mark(STAMP, details={OWN: ["pvscsi0:0"]})
    return Machine(row, record, mark, {"lan": devices[3]}, {})


def test_a_disk_that_came_with_a_machine_is_not_among_its_disks() -> None:
    assert {"data": {"bus": "pvscsi"}} == spec_of(copy(), NAMES)["disks"]


def test_it_is_once_the_stack_has_it() -> None:
    assert {"root", "data"} == spec_of(copy(), ADOPTED)["disks"].keys()


def test_discovery_tells_all_disks() -> None:
    assert {str(BASE), "data"} == spec_of(copy().opened(), NAMES)["disks"].keys()


@pytest.mark.parametrize(
    ("now", "ranks", "wanted"),
    [
        ((2000, 4000), {"lan": 2}, (2000, 4000)),
        ((2000, 4000), {"lan": 1}, (4000, 2000)),
        ((4000, 2000), {"lan": 1}, (4000, 2000)),
        ((2000, 2001, 4000), {"lan": 1, "data": 2}, (4000, 2001, 2000)),
        ((2000,), {}, (2000,)),
        ((), {"lan": 1}, (4000,)),
    ],
)
def test_the_order_of_booting_keeps_it_where_it_is_or_after_what_is_named(
    now: tuple[int, ...], ranks: dict[str, int], wanted: tuple[int, ...]
) -> None:
    spec = {
        section: {name: {"bootOrder": ranks[name]} if name in ranks else {}}
        for section, name in (("nics", "lan"), ("disks", "data"))
    }
    assert wanted == boot.order_wanted(copy(*now), spec, NAMES)
