"""What discovery makes of files that are no free disks, and of datastores that nobody may read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Discovered, Present, Resource
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import MIB, resource, session, soon

pytest.importorskip("pyVmomi")

from provisioner_plugins.vmware.session import VmwareSession

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

OTHER = UUID("00000000-5a3c-4c1e-8f70-0242ac120002")
"""The lineage of another stack."""


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, datastores=2)) as started:
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, storagePool="LocalDS_0") as found:
        yield found


@pytest.fixture
def pool(vcsim: Vcsim, opened: VmwareSession) -> Iterator[Resource]:
    """Recorded, with its folder on this machine."""
    wanted = resource("StoragePool", "pool", {"type": "dir", "path": str(vcsim.directory / "pool")})
    made = replace(wanted, external_id=opened.create(wanted, soon()).external_id)
    yield made
    opened.delete(made, soon())


def of_other(kind: str, pool: Resource, **spec: object) -> Resource:
    """A resource called ``g`` of the other stack."""
    address = Address(kind, "g")
    return replace(
        resource(kind, "g", {"pool": "pool", **spec}, related={pool.address: pool}),
        uid=identity(OTHER, address),
        stamp=Stamp(str(OTHER), str(address)),
    )


def sparse_disk() -> bytes:
    """A monolithicSparse VMDK of 64 KiB of zeros: its header, its directory, an empty table."""
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 3, 1, 128, 128, 0, 0, 512, 0, 1, 0)
    return header.ljust(512, b"\0") + struct.pack("<I", 2).ljust(512, b"\0") + bytes(2048)


def told(opened: VmwareSession, kind: str) -> dict[str, Discovered]:
    return {item.name: item for item in opened.discover({kind})}


def test_what_another_stack_made_is_told_as_its(
    vcsim: Vcsim, pool: Resource, opened: VmwareSession
) -> None:
    """As an image where it is one, also in the format of a disk; and nobody takes it over."""
    file = vcsim.directory / "g.vmdk"
    file.write_bytes(sparse_disk())
    image = of_other("Image", pool, source={"file": str(file)}, format="vmdk")
    disk = of_other("Disk", pool, size=4 * MIB)
    for made in (image, disk):
        path = str(opened.create(made, soon()).outputs["volume"])
        every = {**told(opened, "Disk"), **told(opened, "Image")}
        found = every[path]
        assert (made.kind, str(made.address)) == (found.kind, _owner(found.observed))
        mine = resource("Disk", "mine", {"pool": "pool"}, related={pool.address: pool})
        mine = replace(mine, name=path, exact=True)
        observed = opened.observe([mine])[mine.address]
        assert isinstance(observed, Present)
        assert _owner(observed).endswith("/g")
        opened.delete(made, soon())


def _owner(observed: Present) -> str:
    assert observed.owner is not None
    return observed.owner.address


def test_a_datastore_that_nobody_may_read_is_a_remark(
    vcsim: Vcsim, pool: Resource, opened: VmwareSession
) -> None:
    disk = opened.create(
        resource("Disk", "d", {"pool": "pool", "size": MIB}, related={pool.address: pool}), soon()
    )
    details = {"object": {"type": "Datastore", "value": "x"}, "privilegeId": "Datastore.Browse"}
    with vcsim.fault(
        "SearchDatastoreSubFolders_Task", Act.FAULT, fault="NoPermission", details=details, times=1
    ):
        found = told(opened, "Disk")
    (unread,) = [item for item in found.values() if not item.observed.spec]
    assert "[LocalDS_0]" == unread.name
    assert "Datastore.Browse" in unread.notes[0]
    assert str(disk.outputs["volume"]) in found
    opened.delete(resource("Disk", "d", {"pool": "pool"}, external_id=disk.external_id), soon())
