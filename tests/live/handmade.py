"""An estate that people made by hand: networks, pools with volumes, and 20 machines of different
shapes, some of which run. Called by the tests of discovery and adoption.

Sources: https://libvirt.org/formatdomain.html, https://libvirt.org/formatnetwork.html
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import libvirt

from tests.lab.bootsector import BootImage

RUNNING = ("counter", "web server", "paused")
PASSWORD = "hunter2!"

_NETWORKS = (
    "<network><name>default</name><forward mode='nat'/><ip address='10.71.0.1' "
    "netmask='255.255.255.0'><dhcp><range start='10.71.0.2' end='10.71.0.254'/>"
    "<host mac='52:54:00:71:00:09' name='db' ip='10.71.0.9'/></dhcp></ip></network>",
    "<network><name>Office LAN</name><bridge name='virbr72' stp='off' delay='2'/>"
    "<mtu size='1400'/><domain name='office.example' localOnly='yes'/>"
    "<dns><forwarder addr='9.9.9.9'/><txt name='info' value='by hand'/>"
    "<host ip='10.72.0.5'><hostname>printer</hostname></host></dns>"
    "<ip address='10.72.0.1' prefix='24'><dhcp><range start='10.72.0.10' end='10.72.0.20'/>"
    "<range start='10.72.0.30' end='10.72.0.40'/><bootp file='pxelinux.0'/></dhcp></ip>"
    "<ip address='10.72.1.1' prefix='24'/>"
    "<ip family='ipv6' address='fd00:72::1' prefix='64'/>"
    "<route address='10.73.0.0' prefix='24' gateway='10.72.0.2'/>"
    "<portgroup name='fast' default='yes'><bandwidth><inbound average='1000'/></bandwidth>"
    "</portgroup></network>",
    "<network><name>open</name><forward mode='open'/><bridge name='virbr74'/>"
    "<ip address='10.74.0.1' prefix='24'/></network>",
    # The same addresses as the first, so that only one of the two can run.
    "<network><name>spare</name><forward mode='nat'/><ip address='10.71.0.1' prefix='24'/>"
    "</network>",
    "<network><name>macvtap</name><forward mode='bridge'><interface dev='lo'/></forward></network>",
)
_STARTED = ("default", "Office LAN", "open", "macvtap")

_UEFI = (
    "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>"
    "<firmware><feature enabled='no' name='secure-boot'/></firmware></os>"
    "<features><acpi/></features>"
)
_Q35 = "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
_PC = "<os><type arch='x86_64' machine='pc'>hvm</type></os>"
_BARE = "<controller type='usb' model='none'/><memballoon model='none'/>"


def _domain(name: str, inner: str, devices: str = "", memory: int = 16, kind: str = "") -> str:
    return (
        f"<domain type='qemu'{kind}><name>{name}</name><memory unit='MiB'>{memory}</memory>"
        f"{inner}<devices>{devices}</devices></domain>"
    )


def _file(path: Path, dev: str, bus: str = "virtio", more: str = "", device: str = "disk") -> str:
    form = "qcow2" if path.suffix == ".qcow2" else "raw"
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{form}'/>"
        f"<source file='{path}'/><target dev='{dev}' bus='{bus}'/>{more}</disk>"
    )


def _volume(volume: str, dev: str, bus: str = "virtio", more: str = "") -> str:
    form = "qcow2" if volume.endswith(".qcow2") else "raw"
    return (
        f"<disk type='volume' device='disk'><driver name='qemu' type='{form}'/>"
        f"<source pool='images' volume='{volume}'/><target dev='{dev}' bus='{bus}'/>{more}</disk>"
    )


def _card(network: str, more: str = "<model type='virtio'/>") -> str:
    return f"<interface type='network'><source network='{network}'/>{more}</interface>"


class HandMade:
    """The estate on one daemon; files of machines lie in the pools and beside them."""

    def __init__(
        self, connection: libvirt.virConnect, folder: Path, boot: BootImage, address: str
    ) -> None:
        self.connection = connection
        self.folder = folder
        self.pool = folder / "images"
        self._boot = boot
        self._pci = address
        for made in (self.pool, folder / "elsewhere"):
            made.mkdir(parents=True)
        self._files()
        self._pools()
        for text in _NETWORKS:
            connection.networkDefineXML(text)
        for name in _STARTED:
            connection.networkLookupByName(name).create()
        for text in self._machines().values():
            connection.defineXML(text)
        for name in RUNNING:
            connection.lookupByName(name).create()
        connection.lookupByName("paused").suspend()
        self._snapshots()

    def _files(self) -> None:
        for name in ("counter", "snapshots", "paused"):
            self._boot.copy(self.pool / f"{name}.qcow2")
        self._boot.copy(self.folder / "elsewhere" / "by-path.qcow2")
        for name in ("data.raw", "LV_like", "shared.raw", "two words.raw", "ünï.raw"):
            (self.pool / name).write_bytes(bytes(1 << 20))
        (self.pool / ".hidden.raw").write_bytes(bytes(1 << 20))
        (self.pool / "notes.txt").write_text("nobody's disk")
        (self.pool / "folder").mkdir()
        (self.folder / "elsewhere" / "loose.img").write_bytes(bytes(1 << 20))
        for name in ("tools.iso", "seed"):
            (self.pool / name).write_bytes(bytes(1 << 20))
        base = self.pool / "base.qcow2"
        self._boot.copy(base)
        for name in ("web", "external"):
            self._image("create", "-F", "qcow2", "-b", base, self.pool / f"{name}.qcow2")
        self._image("create", self.pool / "vmware.vmdk", "1M", form="vmdk")

    def _image(self, *arguments: object, form: str = "qcow2") -> None:
        verb, *rest = map(str, arguments)
        subprocess.run(["qemu-img", verb, "-q", "-f", form, *rest], check=True)

    def _pools(self) -> None:
        for name, path in (("images", self.pool), ("Cold Storage", self.folder / "cold")):
            path.mkdir(exist_ok=True)
            self.connection.storagePoolDefineXML(
                f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
            )
        self.connection.storagePoolLookupByName("images").create()
        self.connection.storagePoolDefineXML(
            "<pool type='fs'><name>mounted</name><source><device path='/dev/nothing'/>"
            f"<format type='ext4'/></source><target><path>{self.folder}/mounted</path></target>"
            "</pool>"
        )

    def _machines(self) -> Mapping[str, str]:
        pool, elsewhere = self.pool, self.folder / "elsewhere"
        serial = f"<serial type='pty'><log file='{self.folder}/counter.log' append='on'/></serial>"
        return {
            "running": _domain(
                "counter",
                _PC,
                _file(pool / "counter.qcow2", "vda") + _BARE + serial,
                memory=8,
            ),
            "virt-manager": _domain(
                "web server",
                "<title>Web</title><description>Web server of the shop</description>"
                "<metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/"
                "libvirt/domain/1.0'><libosinfo:os id='http://debian.org/debian/12'/>"
                "</libosinfo:libosinfo></metadata><vcpu current='1'>2</vcpu>"
                "<features><acpi/><apic/><vmport state='off'/></features>"
                "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/>"
                "<timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>"
                "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>" + _Q35,
                _volume("web.qcow2", "vda", more="<boot order='1'/>")
                + _card("default")
                + "<controller type='usb' model='qemu-xhci' ports='15'/>"
                "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/>"
                "</channel><input type='tablet' bus='usb'/>"
                f"<graphics type='vnc' autoport='yes' listen='127.0.0.1' passwd='{PASSWORD}'/>"
                "<sound model='ich9'/><video><model type='virtio' heads='1'/></video>"
                "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
                memory=64,
            ),
            "paused": _domain(
                "paused", _PC, _volume("paused.qcow2", "hda", "ide") + _BARE, memory=8
            ),
            "snapshots": _domain(
                "snapshots", _PC, _volume("snapshots.qcow2", "vda") + _BARE, memory=8
            ),
            "external snapshot": _domain(
                "external", _PC, _file(pool / "external.qcow2", "vda") + _BARE, memory=8
            ),
            "uefi": _domain(
                "UEFI-Machine",
                _UEFI,
                _volume("data.raw", "sda", "scsi", "<serial>DATA 01</serial>")
                + "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
            ),
            "own loader": _domain(
                "loader",
                "<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' "
                "type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram template="
                "'/usr/share/OVMF/OVMF_VARS_4M.fd'>/tmp/vars.fd</nvram>"
                "<boot dev='network'/><boot dev='hd'/><bootmenu enable='yes' timeout='3000'/></os>"
                "<features><acpi/></features>",
                _card("open"),
            ),
            "passed-through devices": _domain(
                "passthrough",
                _Q35,
                "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
                f"{self._pci}</source></hostdev>"
                "<hostdev mode='subsystem' type='usb'><source startupPolicy='optional'>"
                "<vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>"
                "<filesystem type='mount' accessmode='mapped'><source dir='/srv'/>"
                "<target dir='srv'/></filesystem><watchdog model='i6300esb' action='poweroff'/>"
                "<vsock model='virtio'><cid auto='yes'/></vsock>"
                "<redirdev bus='usb' type='tcp'><source mode='connect' host='localhost' "
                "service='4000'/></redirdev><redirdev bus='usb' type='tcp'><source mode='connect' "
                "host='localhost' service='4000'/></redirdev>"
                "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
                "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
                "<panic model='isa'/><iommu model='intel'/>"
                "<sound model='ich6'/><smartcard mode='passthrough' type='spicevmc'/>"
                "<graphics type='spice' autoport='yes'/>",
            ),
            "disks of all kinds": _domain(
                "disks",
                _PC,
                _file(elsewhere / "loose.img", "vda")
                + _volume(
                    "LV_like", "vdb", more="<iotune><total_iops_sec>100</total_iops_sec></iotune>"
                ).replace("type='raw'", "type='raw' io='native' cache='none'")
                + _volume("two words.raw", "sda", "sata")
                + _volume("ünï.raw", "vdc", more="<readonly/>")
                + _file(pool / ".hidden.raw", "sdb", "usb")
                + "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
                "<source protocol='nbd' name='export'><host name='nbd.example' port='10809'/>"
                "</source><target dev='vdd' bus='virtio'/></disk>"
                "<disk type='block' device='lun'><driver name='qemu' type='raw'/>"
                "<source dev='/dev/null'/><target dev='sdc' bus='scsi'/></disk>"
                + _file(pool / "tools.iso", "hda", "ide", "<readonly/>", "cdrom")
                + "<disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>"
                "<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>",
            ),
            "one disk of two": _domain(
                "sharing-1", _PC, _volume("shared.raw", "vda", more="<shareable/>")
            ),
            "the other of two": _domain(
                "sharing-2", _PC, _volume("shared.raw", "vda", more="<shareable/>")
            ),
            "cards of all kinds": _domain(
                "cards",
                _Q35,
                _card(
                    "default",
                    "<mac address='52:54:00:71:00:09'/><model type='e1000e'/><link state='down'/>",
                )
                + _card(
                    "Office LAN",
                    "<mac address='52:54:00:00:00:72'/><model type='virtio'/>"
                    "<bandwidth><inbound average='100'/></bandwidth><driver queues='2'/>",
                ).replace("'Office LAN'", "'Office LAN' portgroup='fast'")
                + _card("open", "<model type='ne2k_pci'/>")
                + _card("macvtap")
                + "<interface type='user'><model type='virtio'/></interface>"
                "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
                "<interface type='direct'><source dev='eth0' mode='bridge'/>"
                "<model type='virtio'/></interface>"
                "<interface type='udp'><source address='127.0.0.1' port='5555'>"
                "<local address='127.0.0.1' port='5556'/></source><model type='virtio'/>"
                "</interface>",
            ),
            "PCI topology": _domain(
                "pci",
                _Q35,
                "<controller type='pci' index='0' model='pcie-root'/>"
                "<controller type='pci' index='1' model='pcie-root-port'/>"
                "<controller type='pci' index='2' model='pcie-expander-bus'>"
                "<target busNr='180'/></controller>"
                "<controller type='pci' index='3' model='pcie-root-port'>"
                "<address type='pci' bus='2' slot='1'/></controller>"
                "<controller type='pci' index='4' model='pcie-switch-upstream-port'>"
                "<address type='pci' bus='3' slot='0'/></controller>"
                "<controller type='pci' index='5' model='pcie-switch-downstream-port'>"
                "<address type='pci' bus='4' slot='0'/></controller>"
                "<controller type='scsi' index='0' model='virtio-scsi'><driver queues='4'/>"
                "</controller><controller type='scsi' index='1' model='lsilogic'/>"
                "<controller type='usb' index='0' model='ich9-ehci1'/>"
                "<controller type='usb' index='0' model='ich9-uhci1'><master startport='0'/>"
                "</controller><controller type='usb' index='0' model='ich9-uhci2'>"
                "<master startport='2'/></controller>"
                "<input type='keyboard' bus='usb'/>",
            ),
            "cloud-init": _domain(
                "cloud",
                "<sysinfo type='smbios'><system><entry name='serial'>ds=nocloud</entry></system>"
                "</sysinfo><os><type arch='x86_64' machine='q35'>hvm</type>"
                "<smbios mode='sysinfo'/></os>",
                _file(pool / "seed", "sda", "sata", "<readonly/>", "cdrom") + _card("default"),
            ),
            "tuned": _domain(
                "tuned",
                "<vcpu placement='static' cpuset='0-1'>2</vcpu><iothreads>2</iothreads>"
                "<cputune><shares>512</shares><vcpupin vcpu='0' cpuset='0'/>"
                "<vcpupin vcpu='1' cpuset='1'/><emulatorpin cpuset='0'/>"
                "<vcpusched vcpus='0' scheduler='batch'/><vcpusched vcpus='1' scheduler='idle'/>"
                "</cputune><numatune><memory mode='strict' nodeset='0'/></numatune>"
                "<memtune><hard_limit unit='GiB'>1</hard_limit></memtune>"
                "<blkiotune><weight>500</weight></blkiotune>"
                "<memoryBacking><nosharepages/><locked/></memoryBacking>"
                "<resource><partition>/machine/special</partition></resource>" + _PC,
            ),
            "processor": _domain(
                "cpu",
                "<maxMemory slots='4' unit='MiB'>512</maxMemory><vcpu>4</vcpu>"
                "<cpu mode='custom' match='exact' check='partial'>"
                "<model fallback='allow'>Nehalem</model><vendor>Intel</vendor>"
                "<topology sockets='1' dies='2' cores='2' threads='1'/>"
                "<feature policy='require' name='vmx'/><feature policy='disable' name='aes'/>"
                "<numa><cell id='0' cpus='0-1' memory='32' unit='MiB'/>"
                "<cell id='1' cpus='2-3' memory='32' unit='MiB'/></numa></cpu>" + _Q35,
                "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target>"
                "</memory>",
                memory=64,
            ),
            "command line": _domain(
                "qemu",
                _PC,
                "",
                kind=" xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
            ).replace(
                "</domain>",
                "<qemu:commandline><qemu:arg value='-set'/><qemu:arg value='a.b.c=1'/>"
                "<qemu:arg value='-set'/><qemu:arg value='a.b.d=2'/>"
                "<qemu:env name='QEMU_AUDIO' value='none'/></qemu:commandline></domain>",
            ),
            "direct boot": _domain(
                "kernel",
                "<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/boot/vmlinuz</kernel>"
                "<initrd>/boot/initrd</initrd><cmdline>console=ttyS0 &amp; quiet</cmdline>"
                "<dtb>/boot/board.dtb</dtb></os><on_poweroff>restart</on_poweroff>"
                "<on_reboot>restart</on_reboot><on_crash>restart</on_crash>",
                "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='5000'/>"
                "<protocol type='telnet'/></serial><serial type='null'/>"
                "<console type='pty'><target type='virtio'/></console>"
                "<parallel type='file'><source path='/tmp/printer'/></parallel>"
                "<graphics type='vnc' port='5999' autoport='no'><listen type='socket' "
                "socket='/tmp/vnc.sock'/></graphics>",
            ),
            "legacy": _domain(
                "Größe &amp; mehr",
                _PC,
                "<controller type='usb' index='0' model='piix3-uhci'/>"
                "<video><model type='cirrus' vram='9216'/></video><input type='mouse' bus='ps2'/>"
                "<audio id='1' type='none'/>",
            ),
            "nothing": _domain("empty", "<os><type>hvm</type></os>"),
        }

    def _snapshots(self) -> None:
        machine = self.connection.lookupByName("snapshots")
        machine.create()
        machine.snapshotCreateXML(
            "<domainsnapshot><name>Before Upgrade</name><description>by hand</description>"
            "</domainsnapshot>"
        )
        machine.destroy()
        machine.snapshotCreateXML("<domainsnapshot><name>off</name></domainsnapshot>")
        self.connection.lookupByName("external").snapshotCreateXML(
            "<domainsnapshot><name>disk-only</name></domainsnapshot>",
            libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY,
        )

    def definitions(self) -> dict[str, tuple[str, str]]:
        """Every domain and network as it is configured and as it is in force, without metadata."""
        found: dict[str, tuple[str, str]] = {}
        things: list[tuple[str, Callable[[int], str], int]] = []
        for domain in self.connection.listAllDomains():
            flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            things.append((f"domain {domain.name()}", domain.XMLDesc, flags))
        for network in self.connection.listAllNetworks():
            flags = libvirt.VIR_NETWORK_XML_INACTIVE
            things.append((f"network {network.name()}", network.XMLDesc, flags))
        for name, read, flags in things:
            secure = libvirt.VIR_DOMAIN_XML_SECURE if name.startswith("domain") else 0
            found[name] = read(flags), read(secure)
        return found
