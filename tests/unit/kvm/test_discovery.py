"""A domain that somebody else made, as a manifest: nothing of it is lost, and taken over as it is
written it differs in nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.core.address import Address
from provisioner.engine.diff import differences
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Present, Resource
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import Element, attribute, child, copied, parse, same
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.discovery.devices import macs_of
from provisioner_plugins.kvm.discovery.machine import Surroundings, describe
from provisioner_plugins.kvm.domain import document, native
from provisioner_plugins.kvm.domain.processor import product
from tests.unit.kvm.specs import resource

RULES = SchemaCatalog.installed().kind("VirtualMachine")
UID = UUID(int=99)
FEATURES = "<features><acpi/><apic/></features>"
FOLDER = "/srv/pool"
NETWORK = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Volume:
    id: VolumeId
    kind: str | None
    form: str
    is_shared: bool = False

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.id.volume}"


class Estate:
    """A pool with a few volumes, and one network."""

    def __init__(self) -> None:
        volumes = [Volume(VolumeId("pool", f"{name}.qcow2"), "Disk", "qcow2") for name in "abc"]
        volumes += [
            Volume(VolumeId("pool", "cd.iso"), "Image", "iso"),
            Volume(VolumeId("pool", "shared.raw"), "Disk", "raw", is_shared=True),
            Volume(VolumeId("pool", "odd.vmdk"), None, "vmdk"),
        ]
        self.volumes = {volume.path: volume for volume in volumes}

    def of_disk(self, disk: Element) -> Volume | None:
        source = disk.find("source")
        if source is None:
            return None
        path = source.get("file") or f"{FOLDER}/{source.get('volume')}"
        return self.volumes.get(path)

    def network(self, name: str | None) -> str | None:
        return NETWORK if name == "lan" else None


DISKS = [
    f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
    f"<source file='{FOLDER}/a.qcow2'/><target dev='vda' bus='virtio'/></disk>",
    "<disk type='volume' device='disk'><driver name='qemu' type='qcow2' cache='none' io='native' "
    "discard='ignore'/><source pool='pool' volume='b.qcow2'/><target dev='sdb' bus='scsi' "
    "removable='on'/><iotune><total_iops_sec>10</total_iops_sec></iotune><boot order='2'/>"
    "<serial>ONE</serial></disk>",
    f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
    f"<source file='{FOLDER}/c.qcow2' startupPolicy='optional'/><target dev='hdc' bus='ide'/>"
    "<serial>not a serial</serial><boot order='200'/></disk>",
    "<disk type='volume' device='disk'><driver name='qemu' type='raw'/>"
    "<source pool='pool' volume='shared.raw'/><target dev='vdd' bus='virtio'/><shareable/></disk>",
    f"<disk type='file' device='disk'><driver name='qemu' type='vmdk'/>"
    f"<source file='{FOLDER}/odd.vmdk'/><target dev='vde' bus='virtio'/></disk>",
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='rbd' name='a/b'><host name='ceph'/></source>"
    "<target dev='vdf' bus='virtio'/></disk>",
    "<disk type='nvme' device='disk'><driver name='qemu' type='raw'/>"
    "<source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' "
    "slot='0x00' function='0x0'/></source><target dev='vdg' bus='virtio'/></disk>",
    "<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/sdz'/>"
    "<target dev='sdh' bus='scsi'/><address type='drive' controller='1' unit='3'/></disk>",
    f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
    f"<source file='{FOLDER}/cd.iso'/><target dev='hda' bus='ide'/><readonly/></disk>",
    "<disk type='file' device='cdrom'><target dev='sdi' bus='sata' tray='open'/><readonly/></disk>",
    "<disk type='file' device='cdrom'><target dev='sdj' bus='usb'/><readonly/></disk>",
    "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>",
]
CARDS = [
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/>"
    "<model type='virtio'/><address type='pci' bus='0x01'/></interface>",
    "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='lan' "
    "portgroup='fast'/><model type='e1000'/><link state='down'/><bandwidth><inbound "
    "average='1'/></bandwidth><filterref filter='clean-traffic'/><rom bar='off'/>"
    "<alias name='ua-mine'/><driver name='vhost' queues='4'/><vlan><tag id='5'/></vlan>"
    "</interface>",
    "<interface type='network'><mac address='52:54:00:00:00:03'/><source network='other'/>"
    "<model type='virtio'/></interface>",
    "<interface type='network'><mac address='52:54:00:00:00:04'/><source network='lan'/>"
    "<model type='pcnet'/></interface>",
    "<interface type='user'><mac address='52:54:00:00:00:05'/><model type='virtio'/></interface>",
    "<interface type='bridge'><mac address='52:54:00:00:00:06'/><source bridge='br0'/></interface>",
    "<interface type='direct'><mac address='52:54:00:00:00:07'/><source dev='eth0' "
    "mode='passthrough'/></interface>",
    "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:08'/><source>"
    "<address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'/></source>"
    "</interface>",
    "<interface type='vhostuser'><mac address='52:54:00:00:00:09'/><source type='unix' "
    "path='/tmp/s' mode='server'/><model type='virtio'/></interface>",
    # With the addresses of others: as fragments one contradicts the other.
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='other'/>"
    "<model type='virtio'/></interface>",
    "<interface type='user'><mac address='52:54:00:00:00:03'/><model type='e1000'/></interface>",
]
DEVICES = [
    "<emulator>/opt/qemu</emulator>",
    "<controller type='pci' index='0' model='pci-root'/>",
    "<controller type='pci' index='7' model='pcie-root-port'><target hotplug='off'/></controller>",
    "<controller type='usb' index='0' model='ich9-ehci1'/>"
    "<controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/></controller>"
    "<controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/></controller>",
    "<controller type='scsi' index='1' model='virtio-scsi'><driver iothread='1'/></controller>",
    "<controller type='virtio-serial' index='0' ports='4'/>",
    "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' "
    "bus='0x05' slot='0x00' function='0x0'/></source><rom file='/tmp/rom'/></hostdev>",
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>"
    "<address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>",
    "<redirdev bus='usb' type='spicevmc'/><redirdev bus='usb' type='spicevmc'/>",
    "<redirfilter><usbdev class='0x08' allow='yes'/><usbdev allow='no'/></redirfilter>",
    "<filesystem type='mount'><driver type='virtiofs' queue='1024'/><source dir='/a'/>"
    "<target dir='a'/></filesystem><filesystem type='mount'><source dir='/b'/><target dir='b'/>"
    "</filesystem>",
    "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>",
    "<watchdog model='i6300esb' action='inject-nmi'/>",
    "<vsock model='virtio'><cid auto='no' address='3'/></vsock>",
    "<shmem name='shm'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
    "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
    "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>",
    "<memballoon model='virtio' autodeflate='on'><stats period='10'/></memballoon>",
    "<memballoon model='none'/>",
    "<sound model='ich9'><codec type='micro'/></sound><audio id='1' type='spice'/>",
    "<audio id='1' type='pulseaudio' serverName='/run/pulse'/>",
    "<graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0'><listen type='address' "
    "address='0.0.0.0'/></graphics>",
    "<graphics type='spice' autoport='yes'><listen type='none'/><image compression='off'/>"
    "<gl enable='yes'/></graphics><graphics type='egl-headless'><gl rendernode='/dev/dri/r'/>"
    "</graphics>",
    "<graphics type='sdl' display=':0.0'/>",
    "<video><model type='qxl' ram='65536' vram='65536' heads='1' primary='yes'/></video>"
    "<video><model type='virtio' heads='2'><acceleration accel3d='yes'/></model></video>",
    "<input type='tablet' bus='usb'/><input type='mouse' bus='ps2'/>",
    "<input type='evdev'><source dev='/dev/input/e1' grab='all'/></input>",
    "<serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/></target>"
    "</serial><console type='pty'><target type='serial' port='0'/></console>",
    "<serial type='tcp'><source mode='bind' host='::1' service='1'/><target port='0'/></serial>"
    "<serial type='null'><target port='1'/></serial>",
    "<console type='pty'><target type='virtio' port='1'/></console>",
    "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
    "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>"
    "<channel type='unix'><source mode='bind' path='/tmp/c'/><target type='guestfwd' "
    "address='10.0.2.1' port='4600'/></channel>",
    "<panic model='isa'><address type='isa' iobase='0x505'/></panic><iommu model='intel'>"
    "<driver intremap='on'/></iommu>",
    "<memory model='dimm' access='private'><target><size unit='KiB'>1024</size><node>0</node>"
    "</target></memory><memory model='nvdimm'><source><path>/a</path></source><target>"
    "<size unit='KiB'>1024</size><node>0</node></target></memory>",
    "<hub type='usb'/><smartcard mode='host'/><parallel type='file'><source path='/p'/></parallel>",
    "<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>",
    "<unknown-device of='tomorrow'><inner>text</inner></unknown-device>",
]
SECTIONS = [
    "<title>A title</title>",
    f"<description>{'long ' * 1000}</description>",
    "<description>What it is for</description>",
    "<genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>",
    "<iothreads>2</iothreads><iothreadids><iothread id='2'/><iothread id='4'/></iothreadids>",
    "<cputune><shares>1</shares><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='1'/>"
    "<vcpusched vcpus='0' scheduler='fifo' priority='1'/><vcpusched vcpus='1' scheduler='idle'/>"
    "<cachetune vcpus='0'><cache id='0' level='3' type='both' size='3' unit='MiB'/>"
    "<cache id='1' level='3' type='both' size='3' unit='MiB'/></cachetune></cputune>",
    "<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' nodeset='0'/>"
    "</numatune>",
    "<memtune><hard_limit unit='KiB'>1048576</hard_limit></memtune>",
    "<blkiotune><weight>1</weight><device><path>/dev/sda</path><weight>1</weight></device>"
    "<device><path>/dev/sdb</path><weight>2</weight></device></blkiotune>",
    "<memoryBacking><hugepages><page size='2' unit='M' nodeset='0'/><page size='1' unit='G'/>"
    "</hugepages><locked/></memoryBacking>",
    "<features><acpi/><apic eoi='on'/><pae/><hyperv mode='custom'><relaxed state='on'/>"
    "<spinlocks state='on' retries='8191'/></hyperv><kvm><hidden state='on'/></kvm>"
    "<smm state='on'><tseg unit='MiB'>48</tseg></smm></features>",
    "<cpu mode='host-passthrough' check='none' migratable='off'><cache mode='passthrough'/>"
    "<feature policy='require' name='vmx'/></cpu>",
    "<cpu mode='custom' match='minimum' check='full'><model fallback='allow'>Haswell</model>"
    "<vendor>Intel</vendor><topology sockets='1' dies='1' cores='2' threads='1'/>"
    "<feature policy='optional' name='svm'/><numa><cell id='0' cpus='0' memory='8192' unit='KiB'/>"
    "<cell id='1' cpus='1' memory='8192' unit='KiB'><distances><sibling id='0' value='21'/>"
    "</distances></cell></numa></cpu>",
    "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>",
    "<clock offset='variable' adjustment='1' basis='utc'><timer name='rtc' tickpolicy='catchup'>"
    "<catchup threshold='1' slew='1' limit='1'/></timer><timer name='hpet' present='no'/></clock>",
    "<clock offset='utc'/><on_poweroff>destroy</on_poweroff><on_crash>coredump-restart</on_crash>",
    "<on_lockfailure>pause</on_lockfailure><pm><suspend-to-disk enabled='no'/></pm>",
    "<perf><event name='cmt' enabled='yes'/><event name='mbmt' enabled='no'/></perf>",
    "<sysinfo type='smbios'><bios><entry name='vendor'>V</entry></bios><baseBoard>"
    "<entry name='serial'>1</entry></baseBoard><baseBoard><entry name='serial'>2</entry>"
    "</baseBoard></sysinfo><sysinfo type='fwcfg'><entry name='opt/x'>y</entry></sysinfo>",
    "<resource><partition>/machine</partition></resource>",
    "<resource><partition>/elsewhere</partition></resource>",
    "<seclabel type='dynamic' model='apparmor' relabel='yes'/>"
    "<seclabel type='static' model='dac' relabel='yes'><label>+1:+1</label></seclabel>",
    "<keywrap><cipher name='aes' state='on'/><cipher name='dea' state='off'/></keywrap>",
    "<launchSecurity type='sev'><policy>0x1</policy><cbitpos>47</cbitpos></launchSecurity>",
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<qemu:arg value='-set'/><qemu:arg value='x'/><qemu:arg value='-set'/><qemu:env name='A' "
    "value='b'/></qemu:commandline>",
    "<maxMemory slots='4' unit='KiB'>999999</maxMemory>",
    "<section-of-tomorrow at='all'><one/><one/></section-of-tomorrow>",
]
SYSTEMS = [
    "<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><boot dev='hd'/></os>",
    "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='network'/>"
    "<boot dev='cdrom'/><bootmenu enable='yes'/></os>",
    "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><firmware>"
    "<feature enabled='yes' name='enrolled-keys'/><feature enabled='yes' name='secure-boot'/>"
    "</firmware><loader secure='yes' type='pflash'>/a</loader><nvram>/b</nvram></os>",
    "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader readonly='yes' "
    "type='pflash'>/a</loader><nvram template='/t'>/b</nvram></os>",
    "<os><type arch='aarch64' machine='virt-7.2'>hvm</type><kernel>/k</kernel>"
    "<cmdline>a b</cmdline><dtb>/d</dtb></os>",
    "<os><type arch='x86_64' machine='microvm'>hvm</type></os>",
    "<os firmware='bios'><type arch='x86_64' machine='isapc'>hvm</type><bios useserial='yes'/>"
    "<smbios mode='sysinfo'/></os>",
]


def domain(system: str, sections: Sequence[str], devices: Sequence[str], count: int = 2) -> Element:
    """A definition; of sections and devices of which there can be one only, the first counts."""
    document = parse(
        "<domain type='qemu'><name>Some VM</name><uuid>00000000-0000-0000-0000-000000000063</uuid>"
        "<memory unit='KiB'>16384</memory><currentMemory unit='KiB'>16384</currentMemory>"
        f"<vcpu placement='static'>{count}</vcpu>{system}<devices/></domain>"
    )
    several = {"sysinfo", "seclabel"}
    for text in sections:
        nodes = list(parse(f"<x>{text}</x>"))
        if not any(document.find(node.tag) is not None for node in nodes):
            document.extend(nodes)
        else:
            document.extend(node for node in nodes if node.tag in several)
    topology = document.find("cpu/topology")
    if topology is not None:
        # libvirt takes no other number.
        child(document, "vcpu").text = str(product(topology))
    where = child(document, "devices")
    for text in devices:
        nodes = list(parse(f"<x>{text}</x>"))
        known = {_only_one(node) for node in where} - {None}
        where.extend(node for node in nodes if _only_one(node) not in known)
    return document


def _only_one(node: Element) -> object:
    """What only one device of a domain can have."""
    match node.tag:
        case "graphics":
            return node.tag, node.get("type")
        case "controller":
            return node.tag, node.get("type"), node.get("index")
        case "serial" | "audio":
            return node.tag
        case "emulator" | "memballoon" | "tpm" | "vsock" | "iommu" | "watchdog" | "redirfilter":
            return node.tag
    return None


definitions = st.builds(
    domain,
    st.sampled_from(SYSTEMS),
    st.lists(st.sampled_from(SECTIONS), unique=True),
    st.lists(st.sampled_from(DISKS + CARDS + DEVICES), unique=True),
    st.integers(1, 4),
)


def discovered(document: Element) -> tuple[dict[str, Any], tuple[str, ...]]:
    around = Surroundings(Estate(), macs_of([document]), "x86_64", ["/usr/bin/qemu"])
    return describe(document, UID, around)


def as_resource(spec: Mapping[str, Any]) -> Resource:
    """The machine of a manifest that is written as discovery tells it."""
    names = {f"pool/{name}.qcow2": name for name in "abc"} | {"pool/cd.iso": "cd", NETWORK: "net"}
    spec = dict(spec)
    if "disks" in spec:
        spec["disks"] = {names[key]: disk for key, disk in spec["disks"].items()}
    if "nics" in spec:
        spec["nics"] = {
            name: {**nic, "network": names[nic["network"]]} for name, nic in spec["nics"].items()
        }
    if "cdroms" in spec:
        spec["cdroms"] = {
            name: {**drive, "image": names[drive["image"]]} if "image" in drive else drive
            for name, drive in spec["cdroms"].items()
        }
    others = [
        resource("StoragePool", "pool", {"type": "dir", "path": FOLDER}),
        replace(resource("Network", "net", {"mode": "nat", "cidr": "10.0.0.0/24"}), name="lan"),
        resource("Image", "cd", {"pool": "pool", "source": {"volume": "cd.iso"}, "format": "iso"}),
        *(
            replace(
                resource("Disk", name, {"pool": "pool", "format": "qcow2", "size": 1}),
                name=f"{name}.qcow2",
                exact=True,
            )
            for name in "abc"
        ),
    ]
    related: dict[Address, Resource] = {}
    for item in others:
        related[item.address] = replace(item, related=related)
    return resource("VirtualMachine", "web", spec, related=related)


def left(document: Element, machine: Resource, recorded: Mapping[str, Any] | None) -> list[Any]:
    bindings = Bindings(machine.related)
    spec = document_read(document, bindings, machine.spec)
    observed = Present("id", None, spec, "fingerprint")
    return differences(machine.spec, recorded, observed, RULES)


def document_read(node: Element, bindings: Bindings, wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {**document.read(node, bindings, wanted), "labels": {}, "autostart": False}


@given(definitions)
def test_taken_over_it_differs_in_nothing(found: Element) -> None:
    spec, _ = discovered(found)
    machine = as_resource(spec)
    # What a manifest says is accepted, and comes back as it is.
    assert machine.spec == provider().normalise(machine)
    assert [] == left(found, machine, None)
    native.take_over(found, document.fragments(machine.spec))
    stamp.replace(found, stamp.Mark.of(machine))
    assert document.fragments(spec) == native.recorded(found)
    assert [] == left(found, machine, machine.spec)


@given(definitions)
def test_an_edit_of_something_else_leaves_the_rest_as_it_is(found: Element) -> None:
    spec, _ = discovered(found)
    machine = as_resource(spec)
    native.take_over(found, document.fragments(machine.spec))
    before = copied(found)
    edited = {**machine.spec, "description": "Edited"}
    around = document.Surroundings(Bindings(machine.related))
    document.edit(found, edited, edited, {"description"}, around, reorder=False)
    for definition in (found, before):
        for node in definition.findall("description"):
            definition.remove(node)
    assert same(before, found)


@given(definitions, st.integers(0, 1 << 30))
def test_nothing_is_lost_in_silence(found: Element, seed: int) -> None:
    """Whatever somebody else adds, wherever it is, stands in a fragment or in a note."""
    random = Random(seed)
    places = [node for node in found.iter() if not _is_layout(found, node)]
    place = random.choice(places)
    if random.random() < 0.5:
        place.set("zzz", "added")
    else:
        child(place, "zzz").set("is", "added")
    spec, notes = discovered(found)
    assert any("zzz" in text for text in (*document.fragments(spec), *notes)), place.tag


_NOT_READ = frozenset({"name", "uuid", "metadata", "nvram", "loader"})
"""What identifies a domain, and files that libvirt chooses."""


def _is_layout(found: Element, node: Element) -> bool:
    if node.tag in _NOT_READ:
        return True
    if node.tag == "address" and node.get("type") is not None:
        return True
    return any(node in console.iter() for console in found.findall("devices/console"))


def test_white_space_around_a_description_is_told() -> None:
    spec, notes = discovered(domain(SYSTEMS[0], ["<description> two\nlines </description>"], []))
    assert ("two\nlines", 1) == (spec["description"], sum("white space" in text for text in notes))


def test_what_libvirt_adds_by_itself_is_no_noise() -> None:
    found = domain(
        SYSTEMS[0],
        [
            FEATURES,
            "<clock offset='utc'/><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>"
            "<on_crash>destroy</on_crash><resource><partition>/machine</partition></resource>",
            "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>"
            "</cpu>",
            "<seclabel type='dynamic' model='apparmor' relabel='yes'/>",
        ],
        [
            "<emulator>/usr/bin/qemu</emulator>",
            "<controller type='pci' index='0' model='pci-root'/>"
            "<controller type='usb' index='0' model='piix3-uhci'><address type='pci'/></controller>"
            "<controller type='ide' index='0'/><controller type='virtio-serial' index='0'/>",
            DISKS[0],
            CARDS[0],
            "<serial type='pty'><target type='isa-serial' port='0'><model name='isa-serial'/>"
            "</target></serial><console type='pty'><target type='serial' port='0'/></console>",
            "<input type='mouse' bus='ps2'/><input type='keyboard' bus='ps2'/>",
            "<audio id='1' type='none'/><memballoon model='virtio'><address type='pci'/>"
            "</memballoon>",
        ],
    )
    expected = {
        "cpu": {"count": 2, "max": 2},
        "memory": {"size": 16 << 20, "max": 16 << 20},
        "machineType": "pc",
        "disks": {"pool/a.qcow2": {"readOnly": False, "bus": "virtio"}},
        "nics": {
            "nic0": {
                "network": NETWORK,
                "model": "virtio",
                "link": "up",
                "mac": "52:54:00:00:00:01",
            }
        },
        "console": {"serial": True, "graphics": "none"},
        "guestAgent": False,
    }
    assert (expected, ()) == discovered(found)


@pytest.mark.parametrize(
    ("device", "fragment"),
    [
        (DISKS[5], "rbd"),
        (DISKS[7], 'device="lun"'),
        (CARDS[3], "pcnet"),
        (CARDS[5], "br0"),
        # Of a card of the model only what the model lacks, by its address.
        (CARDS[1], '<interface><mac address="52:54:00:00:00:02" /><source portgroup='),
        (DISKS[1], '<disk><target dev="sdb" removable="on" /><driver io="native"'),
    ],
)
def test_what_the_model_lacks_becomes_a_fragment(device: str, fragment: str) -> None:
    spec, _ = discovered(domain(SYSTEMS[1], [], [device]))
    assert 1 == sum(fragment in text for text in document.fragments(spec))


@pytest.mark.parametrize(
    ("system", "section", "fragment"),
    [
        (
            "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' "
            "type='pflash'>/code</loader><nvram template='/theirs'>/own.fd</nvram></os>",
            "",
            "<os><nvram>/own.fd</nvram></os>",
        ),
        (SYSTEMS[1], "<cpu mode='host-passthrough' migratable='off'/>", '<cpu migratable="off" />'),
    ],
)
def test_what_stands_beside_a_field_becomes_a_fragment(
    system: str, section: str, fragment: str
) -> None:
    spec, notes = discovered(domain(system, [f"{FEATURES}{section}"], []))
    assert (True, ()) == (fragment in document.fragments(spec), notes)


@pytest.mark.parametrize("mode", ["maximum", "host-passthrough"])
def test_the_mode_of_an_emulated_processor_is_its_own(mode: str) -> None:
    spec, notes = discovered(domain(SYSTEMS[1], [FEATURES, f"<cpu mode='{mode}'/>"], []))
    assert (mode, ()) == (spec["cpu"]["model"], notes)


def test_features_that_are_missing_are_told() -> None:
    _, notes = discovered(domain(SYSTEMS[1], ["<features><acpi/></features>"], []))
    assert ("kept as it is: it has no <apic/>, which a machine that is made anew has",) == notes


def test_two_machines_with_one_mac_address() -> None:
    """A manifest's stands once in a stack."""
    found = domain(SYSTEMS[1], [], [CARDS[0]])
    around = Surroundings(Estate(), macs_of([found, found]))
    spec, _ = describe(found, UID, around)
    assert "nics" not in spec
    assert 1 == sum("52:54:00:00:00:01" in text for text in document.fragments(spec))


def test_beside_a_card_that_nothing_can_say_all_cards_are_fragments() -> None:
    """A manifest's cards are all that there are to be: one that is missing would be unplugged."""
    spec, notes = discovered(domain(SYSTEMS[1], [], [CARDS[0], CARDS[9], CARDS[1]]))
    cards = [text for text in document.fragments(spec) if "<interface" in text]
    assert ("nics" in spec, 2) == (False, len(cards))
    assert 1 == sum('network="other"' in note for note in notes)


def test_names_of_cards_are_those_that_somebody_gave() -> None:
    spec, _ = discovered(domain(SYSTEMS[1], [], CARDS[:2]))
    assert ["nic0", "mine"] == list(spec["nics"])


def test_a_twin_is_kept_a_twin() -> None:
    """Two devices that say the same are in one fragment, which makes two of them again."""
    found = domain(SYSTEMS[1], [], [DEVICES[8]])
    spec, _ = discovered(found)
    (twins,) = [text for text in document.fragments(spec) if "redirdev" in text]
    assert 2 == twins.count("<redirdev")
    machine = as_resource(spec)
    made = document.build("web", UID, machine.spec, document.Surroundings(Bindings({})))
    assert 2 == len(made.findall("devices/redirdev"))
    assert attribute(made, "devices/redirdev", "bus") == "usb"
