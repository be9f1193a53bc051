"""Appliances (OVA) for tests: a descriptor, a disk and a manifest in a tar archive. Called by tests
of the vmware plugin; its other end, the simulator, reads the descriptor.
"""

import hashlib
import io
import struct
import tarfile
from collections.abc import Mapping

DISK = "web-disk1.vmdk"
_AT_END = 0xFFFFFFFFFFFFFFFF
_COMPRESSED = (1 << 16) | 3
_FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html"

_SYSTEM = """\
  <VirtualSystem ovf:id="{name}">
    <Info>A machine</Info>
    <VirtualHardwareSection>
      <Info>Hardware</Info>
      <System>
        <vssd:ElementName>Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType>
      </System>
      {items}
    </VirtualHardwareSection>
  </VirtualSystem>
"""
_ITEM = """\
      <Item>
        <rasd:ElementName>{name}</rasd:ElementName>
        <rasd:InstanceID>{number}</rasd:InstanceID>
        <rasd:ResourceType>{kind}</rasd:ResourceType>
        {more}
      </Item>
"""
_QUANTITY = "<rasd:VirtualQuantity>{}</rasd:VirtualQuantity>"
_ITEMS = (
    ("processors", 3, _QUANTITY.format(1)),
    ("memory", 4, _QUANTITY.format(64)),
    ("controller", 6, "<rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>"),
    (
        "disk",
        17,
        "<rasd:HostResource>ovf:/disk/disk1</rasd:HostResource><rasd:Parent>3</rasd:Parent>",
    ),
    (
        "card",
        10,
        "<rasd:Connection>nat</rasd:Connection>"
        "<rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>",
    ),
)


def stream_disk(size: int = 2**16) -> bytes:
    """What begins like a streamOptimized VMDK."""
    fields = (b"KDMV", 3, _COMPRESSED, 2048, 128, 0, 0, 512, 0, _AT_END, 0)
    return struct.pack("<4sIIQQQQIQQQ", *fields).ljust(512, b"\0").ljust(size, b"d")


def ovf(
    disk: bytes | None = None,
    *,
    file: str = "",
    form: str = "#streamOptimized",
    systems: int = 1,
    start: str = "",
    unknown: bool = False,
) -> bytes:
    """A descriptor for one disk. ``file``: further attributes of its element File; ``start`` stands
    before everything else; ``unknown``: with hardware that no hypervisor has.
    """
    size = len(stream_disk() if disk is None else disk)
    said = [*_ITEMS, *([("oddity", 99, "")] if unknown else [])]
    items = "".join(
        _ITEM.format(name=name, number=number, kind=kind, more=more)
        for number, (name, kind, more) in enumerate(said, start=1)
    )
    machines = "".join(_SYSTEM.format(name=f"web{n}", items=items) for n in range(systems))
    return f"""{start}<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References><File ovf:href="{DISK}" ovf:id="file1" ovf:size="{size}" {file}/></References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="disk1"
        ovf:fileRef="file1" ovf:format="{_FORMAT}{form}"/>
  </DiskSection>
{machines}</Envelope>
""".encode()


def files(descriptor: bytes | None = None, disk: bytes | None = None) -> dict[str, bytes]:
    """The files of an appliance, in their order, with a manifest that is right."""
    data = stream_disk() if disk is None else disk
    held = {"web.ovf": ovf(data) if descriptor is None else descriptor}
    named = {**held, DISK: data}
    return {**held, "web.mf": manifest(named), DISK: data}


def manifest(named: Mapping[str, bytes], algorithm: str = "SHA256") -> bytes:
    """A line for each file."""
    return "".join(
        f"{algorithm}({name})= {hashlib.new(algorithm.lower(), content).hexdigest()}\n"
        for name, content in named.items()
    ).encode()


def ova(held: Mapping[str, bytes] | None = None, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of these files; ``form`` is one of tarfile's."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in (files() if held is None else held).items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5 if form == tarfile.PAX_FORMAT else 1
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
