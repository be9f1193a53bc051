"""The memory provider under test: an endpoint in a file, and one that lives in the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.core.values import Path as FieldPath
from provisioner.providers.api import Endpoint
from provisioner_plugins.memory import provider
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import encode
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.replication import Copies
from tests.conformance.provider.harness import HOST
from tests.conformance.provider.sites import lost

_SPECS: Mapping[str, Mapping[str, Any]] = {
    "Network": {"mode": "isolated"},
    "StoragePool": {"type": "dir", "path": "/somewhere"},
    "Image": {"pool": "pool", "source": {"volume": "x"}, "format": "raw"},
    "Disk": {"pool": "pool", "size": 1024},
    "VirtualMachine": {"memory": {"size": 2**20}},
    "Snapshot": {"machine": "machine"},
    "Datacenter": {},
    "Folder": {"datacenter": "dc"},
    "Cluster": {"datacenter": "dc"},
    "ClusterHost": {"datacenter": "dc", "address": "10.90.0.9"},
    "ResourcePool": {"cluster": "cluster"},
    "PlacementRule": {
        "cluster": "cluster",
        "type": "keep-apart",
        "machines": {"machine": {}, "machine-b": {}},
    },
    "Role": {"privileges": []},
    "Permission": {"role": "role", "principal": "LAB\\somebody"},
}
_DRIFT: Mapping[str, Mapping[str, Any]] = {
    "Network": {"mtu": 1400},
    "StoragePool": {"autostart": False},
    "Disk": {"size": "8MiB"},
    "VirtualMachine": {"description": "as the author wants it"},
    "Snapshot": {"description": "as the author wants it"},
    "Cluster": {"drs": {"migrationThreshold": 2}},
    "ClusterHost": {"maintenance": False},
    "ResourcePool": {"cpu": {"shares": "low"}},
    "PlacementRule": {"enabled": True},
    "Role": {"privileges": ["VirtualMachine.Interact.PowerOn"]},
    "Permission": {"propagate": True},
}
_CHANGED: Mapping[str, tuple[FieldPath, Json]] = {
    "Network": (("mtu",), 9000),
    "StoragePool": (("autostart",), True),
    "Disk": (("size",), 2**22),
    "VirtualMachine": (("description",), "changed outside"),
    "Snapshot": (("description",), "changed outside"),
    "Cluster": (("drs", "migrationThreshold"), 4),
    "ClusterHost": (("maintenance",), True),
    "ResourcePool": (("cpu", "shares"), "high"),
    "PlacementRule": (("enabled",), False),
    "Role": (("privileges",), []),
    "Permission": (("propagate",), False),
}


class MemoryOutside:
    """Implements :class:`tests.conformance.provider.under_test.Outside`."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def add(self, kind: str, name: str) -> str:
        return self._outside.add(kind, name, _SPECS[kind]).id

    def change(self, kind: str, name: str) -> FieldPath:
        path, value = _CHANGED[kind]
        self._outside.change(kind, name, path, value)
        return path

    def remove(self, kind: str, name: str) -> None:
        self._outside.remove(kind, name)

    def picture(self, kind: str, name: str) -> object:
        found = [
            encode(item)
            for item in self._outside.objects()
            if (item.kind, item.name) == (kind, name)
        ]
        return found or None


class MemoryUnderTest:
    """Implements :class:`tests.conformance.provider.under_test.ProviderUnderTest`."""

    surroundings: Mapping[Address, Mapping[str, Any] | None] = {}
    unstamped: frozenset[str] = frozenset()
    journaled: frozenset[str] = frozenset()
    defers = True
    drift = _DRIFT

    def __init__(self, folder: Path, *, in_file: bool) -> None:
        self._folder = folder
        self._file = folder / "endpoint.jsonl" if in_file else None
        self.provider: MemoryProvider = provider()
        connection = {"path": str(self._file)} if self._file is not None else {}
        self.host: Mapping[str, Any] = {"connection": connection}
        self._inventory = self.provider.inventory(Endpoint(HOST, "memory", connection), folder)
        self._world = Outside(self._inventory)
        self._elsewhere: MemoryUnderTest | None = None
        self.outside = MemoryOutside(self._world)
        notes = {"memory": {"note": "one"}}, {"memory": {"note": "two", "more": "three"}}
        natives = ("network", "pool", "disk", "machine")
        self.values: Mapping[str, Json] = {
            "folder": str(folder),
            "qcow2Image": "files/image.qcow2",
            "appliance": "files/appliance.ova",
            "machineType": "q35",
            "otherMachineType": "pc",
            "cardModel": "e1000",
            "otherCardModel": "rtl8139",
            "nestedCpu": {"model": "qemu64", "nested": True},
            "otherNestedCpu": {"model": "qemu64", "nested": False},
            "plainCpu": {"model": "qemu64"},
            **{name: name for name in _INVENTED},
            "openvswitchBridge": "ovs0",
            "nfsExport": "/export/one",
            "otherNfsExport": "/export/two",
            "blockDevice": "/dev/vdx",
            "otherBlockDevice": "/dev/vdy",
            "iscsiTarget": "iqn.2024-01.example.lab:one",
            "otherIscsiTarget": "iqn.2024-01.example.lab:two",
            "guestOs": "debian12_64Guest",
            "otherGuestOs": "windows2022srvNext_64Guest",
            "fastBus": "nvme",
            "otherFastBus": "pvscsi",
            "fastCard": "vmxnet3",
            "hostSwitch": "standard",
            "clusterSwitch": "distributed",
            "unit": "naa.600508b1001c7d1e",
            "otherUnit": "naa.600508b1001c7d1f",
            "ownFormat": "vmdk",
            "takenAtOnce": "lazy",
            "hostAddress": "10.90.0.3",
            "otherHostAddress": "10.90.0.4",
            "hostPort": 8443,
            "hostFingerprint": ":".join(["1F"] * 32),
            "sameHostFingerprint": ":".join(["1f"] * 32),
            **{f"{name}Native": notes[0] for name in natives},
            **{f"other{name.title()}Native": notes[1] for name in natives},
        }

    @classmethod
    def in_file(cls, folder: Path) -> MemoryUnderTest:
        return cls(folder, in_file=True)

    @classmethod
    def in_process(cls, folder: Path) -> MemoryUnderTest:
        return cls(folder, in_file=False)

    def refuses(self, kind: str, field: str) -> str | None:  # noqa: ARG002 - it can have all
        return None

    def lose_answer(self, call: str) -> None:
        self.provider.faults(HOST).add({"call": call, "effect": "lost-answer"})

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        if self._file is None:
            self._world.cut_off()
            try:
                yield
            finally:
                self._world.come_back()
            return
        aside = self._file.with_suffix(".aside")
        self._file.rename(aside)
        self._file.mkdir()
        try:
            yield
        finally:
            self._file.rmdir()
            aside.rename(self._file)

    def calls(self) -> int:
        return sum(self.provider.calls(HOST).values())

    def elsewhere(self) -> MemoryUnderTest:
        if self._elsewhere is None:
            folder = self._folder / "elsewhere"
            self._elsewhere = MemoryUnderTest(folder, in_file=self._file is not None)
        return self._elsewhere

    def write(self, machine: str, disk: str, number: int) -> None:
        self._world.write(machine, f"number {number}", disk, number % 8)

    def content(self, external_id: str) -> object:
        return self._world.content(external_id).blocks

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        remove = Inventory.remove

        def removing(inventory: Inventory, object_id: str) -> None:
            if object_id.startswith("replica/"):
                raise lost()
            remove(inventory, object_id)

        with (
            mock.patch.object(Inventory, "remove", removing),
            mock.patch.object(Copies, "read", side_effect=lost()),
        ):
            yield

    def close(self) -> None:
        self._inventory.close()
        if self._elsewhere is not None:
            self._elsewhere.close()


_INVENTED = (
    "bridge",
    "otherBridge",
    "device",
    "otherDevice",
    "nfsServer",
    "volumeGroup",
    "otherVolumeGroup",
    "iscsiServer",
    "volume",
    "otherVolume",
    "uplink",
    "otherUplink",
    "template",
    "otherTemplate",
    "library",
    "item",
    "otherItem",
    "licence",
    "otherLicence",
    "user",
    "otherUser",
    "group",
)
