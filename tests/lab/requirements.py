"""What the lab needs of the machine, and what to say where that is missing. Called by the fixtures,
which skip tests, and by scripts."""

import importlib.util
import os
import shutil
import subprocess

from tests.lab import linux, storagehost
from tests.lab.daemon import Flavour
from tests.lab.launcher import SEARCH_PATH

_PATH = f"{os.environ.get('PATH', os.defpath)}:{SEARCH_PATH}"
_PACKAGES = {
    "libvirtd": "libvirt-daemon libvirt-daemon-driver-qemu",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "ip": "iproute2",
    "as": "binutils",
    "ld": "binutils",
    "xorriso": "xorriso",
    "certtool": "gnutls-bin",
    "nc": "netcat-openbsd",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "udevadm": "udev",
    "exportfs": "nfs-kernel-server",
    "mount.nfs": "nfs-common",
    "vgcreate": "lvm2",
    "tgtd": "tgt",
    "iscsid": "open-iscsi",
    "ovs-vswitchd": "openvswitch-switch",
}
_DAEMON = ("libvirtd", "qemu-system-x86_64", "qemu-img")
_STORAGE = ("udevadm", "exportfs", "mount.nfs", "vgcreate", "tgtd", "iscsid", "ovs-vswitchd")
_NETWORK = ("dnsmasq", "iptables", "ip")


def daemon_unavailable(flavour: Flavour) -> str | None:
    """Why this machine cannot run a lab daemon of the flavour, None if it can."""
    if importlib.util.find_spec("libvirt") is None:
        return "libvirt-python is not installed: install the project's extra kvm"
    if (missing := programs_missing(*_DAEMON)) is not None:
        return missing
    return _CHECKS[flavour]()


def boot_image_unavailable() -> str | None:
    """Why the boot-sector guest cannot be made here, None if it can."""
    return programs_missing("as", "ld", "qemu-img")


def linux_guest_unavailable() -> str | None:
    """Why the Linux guest cannot be made here, None if it can."""
    return linux.unavailable_reason()


def storage_host_unavailable() -> str | None:
    """Why this machine cannot run the storage host, None if it can."""
    if os.geteuid() != 0:
        return "needs root: the storage host runs on this machine's own files"
    if not storagehost.VIRTIOFSD.exists():
        return f"{storagehost.VIRTIOFSD} is missing: install qemu-system-common"
    return linux.unavailable_reason() or programs_missing(*_STORAGE)


def programs_missing(*programs: str) -> str | None:
    """Which of the programs are missing and what to install, None if all are there."""
    missing = [program for program in programs if shutil.which(program, path=_PATH) is None]
    if not missing:
        return None
    packages = sorted({_PACKAGES[program] for program in missing})
    return f"{', '.join(missing)} not found: install {' '.join(packages)}"


def _session() -> str | None:
    # An ordinary user's daemon needs no namespaces.
    return None if os.geteuid() != 0 else _namespaces_refused("--user", "--mount")


def _system() -> str | None:
    if os.geteuid() != 0:
        return "needs root: a system daemon of the lab has mounts and a network of its own"
    return programs_missing(*_NETWORK) or _namespaces_refused("--mount", "--net", "--uts")


def _namespaces_refused(*kinds: str) -> str | None:
    result = subprocess.run(["unshare", *kinds, "true"], capture_output=True, text=True)
    if result.returncode == 0:
        return None
    return f"new namespaces are refused here ({' '.join(kinds)}): {result.stderr.strip()}"


_CHECKS = {Flavour.SESSION: _session, Flavour.SYSTEM: _system}
