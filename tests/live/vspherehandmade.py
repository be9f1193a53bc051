"""An estate that people have made by hand on a vCenter: machines of all shapes, folders, pools of
resources, port groups, rules, snapshots and templates. For tests of discovery and adoption.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pyVmomi import vim, vmodl

from tests.conformance.provider.vmware_outside import Connected

_Spec = vim.vm.device.VirtualDeviceSpec
_Device = vim.vm.device
STAMP = "provisioner.stamp"
ODD_NAMES = ("50% off", "in/out", "back\\slash", "Straße 7, Büro", "データベース", "%2f")
"""Names that vSphere escapes, or that are no ASCII."""
TWINS = ("front", "back")
"""Folders that both have a machine ``twin``, and a folder ``inner``."""
BUSES = {
    "pvscsi": _Device.ParaVirtualSCSIController,
    "scsi": _Device.VirtualLsiLogicController,
    "sata": _Device.VirtualAHCIController,
    "nvme": _Device.VirtualNVMEController,
}
CARDS = (_Device.VirtualVmxnet3, _Device.VirtualE1000, _Device.VirtualE1000e)
_PICTURE = (
    *("name", "config", "parent", "resourcePool", "snapshot"),
    *("runtime.host", "runtime.powerState", "runtime.bootTime"),
)


def finished(task: Any) -> Any:
    """What a task gave; raises what it failed with."""
    while (info := task.info).state not in ("success", "error"):
        time.sleep(0.005)
    if info.error is not None:
        raise info.error
    return info.result


def _added(device: Any, *, makes_file: bool = False) -> Any:
    operation = _Spec.FileOperation.create if makes_file else None
    return _Spec(operation=_Spec.Operation.add, fileOperation=operation, device=device)


class HandMade:
    """The estate, made on a simulator without machines."""

    def __init__(self, there: Connected) -> None:
        self.there = there
        self.folder = there.datacenter.vmFolder
        self.pool = there.compute.resourcePool
        self._keys = -100
        self._networks()
        self._places()
        self._machines()
        self._templates_and_snapshots()
        self._rules()

    def machine(self, name: str) -> Any:
        """The first machine of a name, as vSphere has it."""
        return self.there.called(vim.VirtualMachine, name)[0]

    def pictures(self) -> dict[str, dict[str, str]]:
        """Everything that is known of each machine, but for our mark and what every
        reconfiguration moves.
        """
        collector = vmodl.query.PropertyCollector
        content = self.there.content
        view = content.viewManager.CreateContainerView(
            container=content.rootFolder, type=[vim.VirtualMachine], recursive=True
        )
        below = collector.TraversalSpec(
            name="all", type=vim.view.ContainerView, path="view", skip=False
        )
        spec = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[below])],
            propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=[*_PICTURE])],
        )
        answer = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
        view.DestroyView()
        return {item.obj._GetMoId(): _picture(item.propSet) for item in answer.objects}

    # --- what is there ---

    def _networks(self) -> None:
        for host in self.there.every(vim.HostSystem):
            system = host.configManager.networkSystem
            system.AddVirtualSwitch("lab", vim.host.VirtualSwitch.Specification(numPorts=8))
            for name, vlan, switch in (("Büro", 7, "vSwitch0"), ("lab net", 0, "lab")):
                group = vim.host.PortGroup.Specification(
                    name=name, vlanId=vlan, vswitchName=switch, policy=vim.host.NetworkPolicy()
                )
                system.AddPortGroup(group)

    def _places(self) -> None:
        self.folders = {name: self.folder.CreateFolder(name) for name in (*TWINS, "Straße")}
        for name in TWINS:
            self.folders[f"{name}/inner"] = self.folders[name].CreateFolder("inner")
        allocation = vim.ResourceAllocationInfo(
            reservation=0,
            expandableReservation=True,
            limit=-1,
            shares=vim.SharesInfo(level="high", shares=8000),
        )
        spec = vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)
        gold = self.pool.CreateResourcePool("gold", spec)
        self.pools = {"gold": gold, "inner": gold.CreateResourcePool("inner", spec)}

    def _machines(self) -> None:
        make = self.make
        make("plain")
        make("web server", devices=[*self.disks("pvscsi", 2), *self.cards()], on=True)
        for bus in BUSES:
            make(f"disks-on-{bus}", devices=self.disks(bus, 2))
        make("every bus", devices=[one for bus in BUSES for one in self.disks(bus, 1)])
        make("old scsi", devices=self.disks("sas", 1, _Device.VirtualLsiLogicSASController))
        for number in range(8):
            make(f"app-{number}", devices=[*self.disks("pvscsi", 1), *self.cards()[:1]])
        for name in ODD_NAMES:
            make(name)
        for name in TWINS:
            make("twin", folder=self.folders[name], devices=self.disks("pvscsi", 1))
        make("in a pool", pool=self.pools["gold"])
        make("deeper", pool=self.pools["inner"], folder=self.folders["front/inner"])
        make(
            "shared",
            on=True,
            numCPUs=4,
            numCoresPerSocket=2,
            cpuHotAddEnabled=True,
            memoryHotAddEnabled=True,
            annotation="Shares\nof all sorts",
            cpuAllocation=vim.ResourceAllocationInfo(
                reservation=500, limit=2000, shares=vim.SharesInfo(level="custom", shares=333)
            ),
            memoryAllocation=vim.ResourceAllocationInfo(
                reservation=32, limit=-1, shares=vim.SharesInfo(level="low", shares=1)
            ),
        )
        make("efi", firmware="efi", bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True))
        make("with tpm", firmware="efi", devices=[_added(_Device.VirtualTPM(key=self._key()))])
        make("on ide", devices=self.disks("ide", 2, _Device.VirtualIDEController))
        finished(make("asleep", on=True).SuspendVM_Task())
        make("keys", extraConfig=[vim.option.OptionValue(key="guestinfo.role", value="db")])
        make("odd devices", devices=self._odd())
        make("annotated", annotation='Backup: "daily" # not: weekly', guestId="debian12_64Guest")

    def _odd(self) -> list[Any]:
        """What no field of a manifest says."""
        serial = _Device.VirtualSerialPort(
            key=self._key(),
            yieldOnPoll=True,
            backing=_Device.VirtualSerialPort.URIBackingInfo(
                serviceURI="telnet://10.0.0.9:2000", direction="server"
            ),
        )
        usb = _Device.VirtualUSBXHCIController(key=self._key(), busNumber=0)
        stick = _Device.VirtualUSB(
            key=self._key(),
            connected=False,
            backing=_Device.VirtualUSB.RemoteHostBackingInfo(deviceName="path:1/2", hostname="esx"),
        )
        card = _Device.VirtualPCIPassthrough(
            key=self._key(),
            backing=_Device.VirtualPCIPassthrough.DeviceBackingInfo(
                deviceName="gpu", id="0000:05:00.0", deviceId="1db6", systemId="x", vendorId=4318
            ),
        )
        return [_added(device) for device in (serial, usb, stick, card)]

    def _templates_and_snapshots(self) -> None:
        template = self.make("golden image", devices=self.disks("pvscsi", 1))
        template.MarkAsTemplate()
        for name in ("Before upgrade", "after/upgrade"):
            finished(
                self.machine("plain").CreateSnapshot_Task(
                    name, f"{name}.", memory=False, quiesce=False
                )
            )
        finished(
            self.machine("app-0").CreateSnapshot_Task(
                "Before upgrade", "", memory=False, quiesce=False
            )
        )

    def _rules(self) -> None:
        apart = vim.cluster.AntiAffinityRuleSpec(
            name="keep the apps apart",
            enabled=True,
            userCreated=True,
            vm=[self.machine("app-1"), self.machine("app-2")],
        )
        spec = vim.cluster.ConfigSpecEx(
            rulesSpec=[vim.cluster.RuleSpec(operation="add", info=apart)]
        )
        finished(self.there.compute.ReconfigureComputeResource_Task(spec, modify=True))

    # --- making machines ---

    def make(
        self,
        name: str,
        *,
        folder: Any = None,
        pool: Any = None,
        devices: Sequence[Any] = (),
        on: bool = False,
        **config: Any,
    ) -> Any:
        """Make one."""
        spec = vim.vm.ConfigSpec(
            **{"numCPUs": 1, "memoryMB": 64, "guestId": "otherGuest64", **config},
            name=name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c"),
            files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
            deviceChange=list(devices),
        )
        made = finished((folder or self.folder).CreateVM_Task(spec, pool or self.pool))
        if on:
            finished(made.PowerOnVM_Task())
        return made

    def disks(self, bus: str, count: int, controller: type | None = None) -> list[Any]:
        """New disks on a controller of their own."""
        holder = (controller or BUSES[bus])(key=self._key(), busNumber=0)
        if isinstance(holder, _Device.VirtualSCSIController):
            holder.sharedBus = _Device.VirtualSCSIController.Sharing.noSharing
        made = [_added(holder)]
        for unit in range(count):
            backing = _Device.VirtualDisk.FlatVer2BackingInfo(
                fileName="[LocalDS_0]", diskMode="persistent", thinProvisioned=True
            )
            disk = _Device.VirtualDisk(
                key=self._key(),
                controllerKey=holder.key,
                unitNumber=unit,
                capacityInKB=1024 * (unit + 1),
                capacityInBytes=2**20 * (unit + 1),
                backing=backing,
            )
            made.append(_added(disk, makes_file=True))
        return made

    def cards(self) -> list[Any]:
        """A card of each model, on port groups of both sorts."""
        [standard] = self.there.called(vim.Network, "Büro")
        [group] = self.there.called(vim.dvs.DistributedVirtualPortgroup, "DC0_DVPG0")
        port = vim.dvs.PortConnection(
            portgroupKey=group.key, switchUuid=group.config.distributedVirtualSwitch.uuid
        )
        backings = (
            _Device.VirtualEthernetCard.NetworkBackingInfo(deviceName="Büro", network=standard),
            _Device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port),
            _Device.VirtualEthernetCard.NetworkBackingInfo(deviceName="Büro", network=standard),
        )
        return [
            _added(model(key=self._key(), backing=backing, addressType="generated"))
            for model, backing in zip(CARDS, backings, strict=True)
        ]

    def _key(self) -> int:
        self._keys -= 1
        return self._keys


def _picture(properties: Any) -> dict[str, str]:
    found = {item.name: item.val for item in properties}
    config = found["config"]
    config.changeVersion = ""
    config.extraConfig = [item for item in config.extraConfig if item.key != STAMP]
    return {name: str(value) for name, value in found.items()}
