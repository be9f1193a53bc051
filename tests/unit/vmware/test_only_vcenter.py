"""What only a vCenter can do is refused on an ESXi host with the plan, and says so."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins.vmware import esxi, vcenter

MACHINE: dict[str, Any] = {"memory": {"size": 2**30}}


def resource(kind: str, spec: dict[str, Any]) -> Resource:
    address = Address(kind, "it")
    return Resource(address, "it", UUID(int=1), Stamp("lineage", str(address), 0), spec)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Datacenter", {}),
        ("Folder", {}),
        ("Cluster", {"drs": {"enabled": True}}),
        ("ClusterHost", {"address": "esx1.example"}),
        ("PlacementRule", {"cluster": "c", "type": "keep-apart", "machines": {}}),
        ("StoragePool", {"type": "cluster", "members": {}}),
        ("Network", {"mode": "bridge", "bridge": "dvs", "virtualSwitch": "distributed"}),
        ("Network", {"mode": "bridge", "bridge": "vSwitch0", "folder": "shop"}),
        ("Image", {"pool": "p", "source": {"template": "t"}, "format": "template"}),
        ("VirtualMachine", {**MACHINE, "firmware": {"type": "uefi", "tpm": True}}),
        ("VirtualMachine", {**MACHINE, "clone": {"image": "golden"}}),
        (
            "VirtualMachine",
            {**MACHINE, "guestOs": "debian12_64Guest", "customization": {"hostName": "web"}},
        ),
    ],
)
def test_it_is_refused_on_a_host(kind: str, spec: dict[str, Any]) -> None:
    assert vcenter().normalise(resource(kind, spec)) is not None
    with pytest.raises(ProvisionerError) as caught:
        esxi().normalise(resource(kind, spec))
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code in ("PRV2550", "PRV2551")
    said = f"{diagnostic.detail} {diagnostic.hint}"
    assert any(word in said for word in ("vCenter", "by itself"))
