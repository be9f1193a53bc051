"""The small Linux guest: Debian's cloud kernel with an initramfs of busybox, the virtio drivers and
the guest agent. Reports on its serial port what it finds (see ``linux-init.sh``), three to five
seconds after the start. Called by the fixtures and live tests.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.lab import initramfs
from tests.lab.cache import built

_HERE = Path(__file__).parent
_INIT = _HERE / "linux-init.sh"
_LEASE = _HERE / "linux-lease.sh"
BUSYBOX = Path("/bin/busybox")
_AGENT = Path("/usr/sbin/qemu-ga")
_SHUTDOWN = b"#!/bin/busybox sh\n# What the guest agent calls.\npoweroff -f\n"
_RELEASE = b'ID=lab\nNAME="Lab guest"\nVERSION_ID=1\nPRETTY_NAME="Lab guest"\n'
_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_balloon",
    "virtio_console",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "isofs",
    "button",
    "evdev",
)


class LinuxGuest(NamedTuple):
    """What a domain boots directly."""

    kernel: Path
    initrd: Path
    cmdline: str = "console=ttyS0 quiet panic=1 rdinit=/init"


def unavailable_reason() -> str | None:
    """Why this machine cannot build the guest, None if it can."""
    if not _kernels():
        return "no cloud kernel below /boot: install linux-image-cloud-amd64"
    if not BUSYBOX.exists():
        return f"{BUSYBOX} is missing: install busybox-static"
    if not _AGENT.exists():
        return f"{_AGENT} is missing: install qemu-guest-agent"
    return None


def build() -> LinuxGuest:
    """Packs the guest, or finds it in the cache. Raises FileNotFoundError where
    ``unavailable_reason`` says why."""
    release, kernel = newest_kernel()
    entries = list(_entries(release))
    digest = hashlib.sha256(release.encode())
    for entry in entries:
        digest.update(repr(entry[:2]).encode() + hashlib.sha256(entry.content).digest())

    def make(folder: Path) -> None:
        shutil.copyfile(kernel, folder / "vmlinuz")
        initramfs.write(folder / "initrd", entries)

    folder = built("linux", digest.hexdigest()[:16], make)
    return LinuxGuest(kernel=folder / "vmlinuz", initrd=folder / "initrd")


def newest_kernel() -> tuple[str, Path]:
    """Release and image of the newest cloud kernel whose modules are installed."""
    return _kernels()[-1]


def _kernels() -> list[tuple[str, Path]]:
    """(release, image), the newest last, of those whose modules are installed."""
    found = []
    for image in Path("/boot").glob("vmlinuz-*-cloud-amd64"):
        release = image.name.removeprefix("vmlinuz-")
        if (module_folder(release) / "modules.dep").exists():
            found.append(([int(part) for part in re.findall(r"\d+", release)], release, image))
    return [(release, image) for _, release, image in sorted(found)]


def _entries(release: str) -> Iterator[initramfs.Entry]:
    yield initramfs.file("/bin/busybox", BUSYBOX.read_bytes(), executable=True)
    yield initramfs.link("/bin/sh", "busybox")
    yield initramfs.file("/init", _INIT.read_bytes(), executable=True)
    yield initramfs.file("/bin/lease", _LEASE.read_bytes(), executable=True)
    yield initramfs.file("/sbin/shutdown", _SHUTDOWN, executable=True)
    yield initramfs.file("/etc/os-release", _RELEASE)
    yield from (initramfs.directory(path) for path in ("/proc", "/sys", "/dev"))
    folder = module_folder(release)
    modules = load_order(folder, _MODULES)
    for module in modules:
        yield initramfs.file(f"/lib/modules/{module.name}", module.read_bytes())
    listing = "".join(f"/lib/modules/{module.name}\n" for module in modules)
    yield initramfs.file("/modules", listing.encode())
    yield initramfs.file("/sbin/qemu-ga", _AGENT.read_bytes(), executable=True)
    for library in _libraries(_AGENT):
        yield initramfs.file(str(library), library.read_bytes(), executable=True)


def module_folder(release: str) -> Path:
    """Where the modules of a kernel are."""
    return Path("/lib/modules", release)


def load_order(folder: Path, modules: Iterable[str]) -> list[Path]:
    """The modules and what they need, each after what it needs (modules.dep(5))."""
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        # modules.dep lists what has to be loaded first last.
        needs[_module_name(path)] = [path, *others.split()]
    built_in = {_module_name(path) for path in (folder / "modules.builtin").read_text().split()}
    order: dict[str, None] = {}
    for name in modules:
        if name not in built_in:
            order.update(dict.fromkeys(reversed(needs[name])))
    return [folder / path for path in order]


def _module_name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


def _libraries(program: Path) -> list[Path]:
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted({Path(found) for found in re.findall(r"(/\S+)\s+\(0x", listing)})
