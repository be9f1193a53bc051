"""A virtual machine with what the kernel of the test machine may lack: an NFS server, a volume
group, an iSCSI target and Open vSwitch, with a libvirtd that uses them.

    with StorageHost() as host:
        connection = libvirt.open(host.uri)

It boots Debian's cloud kernel in QEMU, with software emulation, on the programs of the machine that
it runs on: their root directory is its own, through virtiofs, with a layer in memory above it, so
that nothing of the machine is written. Ready after 15 to 50 seconds. Its libvirtd is to be reached
from the loopback alone.

Sources: kernel documentation (filesystems/overlayfs, filesystems/virtiofs), nfs.systemd(7),
tgtadm(8), ovs-vsctl(8).
"""

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import initramfs
from tests.lab.launcher import SEARCH_PATH, LabError, Launcher, runs
from tests.lab.linux import BUSYBOX, load_order, module_folder, newest_kernel
from tests.lab.namespaces import Isolation

NFS_SERVER = "127.0.0.1"
NFS_EXPORTS = ("/a", "/b")
VOLUME_GROUP = "vg0"
DEVICE_IN_USE = "/dev/vda"
FREE_DEVICE = "/dev/vdb"
ISCSI_SERVER = "127.0.0.1"
ISCSI_TARGET = "iqn.2024-01.example:storage"
ISCSI_UNIT_BYTES = 16 << 20
OPENVSWITCH_BRIDGE = "ovs0"
"""What it serves, as seen from itself."""

VIRTIOFSD = Path("/usr/lib/qemu/virtiofsd")
_HERE = Path(__file__).parent
_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtiofs", "overlay")
_MEMORY = "1024M"
_DISK_BYTES = 128 << 20
_DISKS = 2
_START_SECONDS = 240.0
_LIBVIRT_PORT = 16509


class StorageHost:
    """The machine. ``directory`` holds its serial log and disks, and is removed in the end."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lab-storage-", dir="/tmp"))
        self._serial = self.directory / "serial.log"
        self._launcher: Launcher | None = None
        self._port = _free_port()
        self._qemu = 0

    @property
    def uri(self) -> str:
        """What libvirt.open takes on this machine."""
        return f"qemu+tcp://127.0.0.1:{self._port}/system"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        release, kernel = newest_kernel()
        initrd = self.directory / "initrd"
        initramfs.write(initrd, _entries(release))
        files = self.directory / "files.sock"
        environment = {"PATH": SEARCH_PATH}
        self._launcher = Launcher(Isolation(), self.directory)
        log = self.directory / "programs.log"
        shared = [str(VIRTIOFSD), f"--socket-path={files}", "-o", "source=/,sandbox=chroot"]
        shared += ["-o", "cache=always,no_posix_lock,no_flock"]
        self._launcher.start(shared, environment, log)
        _wait(files.exists, 10, "virtiofsd does not listen")
        self._qemu = self._launcher.start(self._machine(kernel, initrd, files), environment, log)
        _wait(self._is_ready, _START_SECONDS, "the storage host does not get ready", self._said)

    def _machine(self, kernel: Path, initrd: Path, files: Path) -> list[str]:
        forward = f"hostfwd=tcp:127.0.0.1:{self._port}-10.0.2.15:{_LIBVIRT_PORT}"
        argv = [
            "qemu-system-x86_64",
            "-nodefaults",
            "-display",
            "none",
            "-accel",
            "tcg,thread=multi",
        ]
        # virtiofsd reads and writes the memory of the machine.
        argv += ["-object", f"memory-backend-memfd,id=memory,size={_MEMORY},share=on"]
        argv += ["-machine", "q35,memory-backend=memory", "-m", _MEMORY, "-smp", "2"]
        argv += ["-cpu", "max", "-serial", f"file:{self._serial}"]
        argv += ["-kernel", str(kernel), "-initrd", str(initrd)]
        argv += [
            "-append",
            "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off rdinit=/init",
        ]
        argv += ["-no-reboot", "-chardev", f"socket,id=files,path={files}"]
        argv += ["-device", "vhost-user-fs-pci,chardev=files,tag=root"]
        argv += ["-netdev", f"user,id=net,restrict=on,{forward}"]
        argv += ["-device", "virtio-net-pci,netdev=net"]
        for number in range(_DISKS):
            disk = self.directory / f"disk{number}"
            with disk.open("wb") as file:
                file.truncate(_DISK_BYTES)
            argv += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
        return argv

    def _is_ready(self) -> bool:
        if not runs(self._qemu):
            raise LabError(f"QEMU has ended\n{self._said()}")
        said = self._said()
        if "LAB-FAILED" in said:
            raise LabError(f"the storage host cannot be set up\n{said}")
        return "LAB-READY" in said

    def _said(self) -> str:
        parts = (self._serial, self.directory / "programs.log")
        texts = (path.read_text(errors="replace") for path in parts if path.exists())
        return "\n".join(text[-4000:] for text in texts)

    def _stop(self) -> None:
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            launcher.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _entries(release: str) -> Iterator[initramfs.Entry]:
    yield initramfs.file("/bin/busybox", BUSYBOX.read_bytes(), executable=True)
    yield initramfs.file("/init", (_HERE / "storage-init.sh").read_bytes(), executable=True)
    yield initramfs.file("/start", (_HERE / "storage-start.sh").read_bytes())
    modules = load_order(module_folder(release), _MODULES)
    for module in modules:
        yield initramfs.file(f"/lib/modules/{module.name}", module.read_bytes())
    listing = "".join(f"/lib/modules/{module.name}\n" for module in modules)
    yield initramfs.file("/modules", listing.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(
    condition: Callable[[], bool],
    seconds: float,
    problem: str,
    said: Callable[[], str] = lambda: "",
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{problem} within {seconds:.0f} s\n{said()}")
        time.sleep(0.1)
