"""Domains as somebody else makes them, put together of parts of every kind."""

from collections.abc import Sequence

from hypothesis import strategies as st

from provisioner_plugins._libvirt.xml import Element, child, parse
from provisioner_plugins.kvm.domain.processor import product

FOLDER = "/srv/pool"
"""Where the volumes of disks and drives are."""
FEATURES = "<features><acpi/><apic/></features>"
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
