"""Linux namespaces of one lab daemon; called by ``reaper`` in the process that holds them.

A system daemon gets its own mounts, network and host name, so that several run side by side and
none touches the host's. A session daemon started by root gets a user namespace in which root's
files belong to an ordinary user: libvirtd then believes to be unprivileged, yet a test that runs
as root and its guests can read each other's files.

Sources: namespaces(7), user_namespaces(7), mount_namespaces(7), mount(2).
"""

import ctypes
import os
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWUTS = 0x0400_0000
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000
_MS_RDONLY = 1 << 0
_MS_REMOUNT = 1 << 5
_MS_BIND = 1 << 12
_MS_REC = 1 << 14
_MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]


class Isolation(NamedTuple):
    """What the lab process separates itself from. ``user``: the ordinary user id that the caller's
    own id becomes, or None. ``network``: own network, host name and sysfs. ``binds``: (source,
    target) paths, targets exist. ``deny``: a file that is to be inaccessible, and an empty regular
    file of mode 000 to cover it with."""

    user: int | None = None
    network: bool = False
    hostname: str = "lab"
    deny: tuple[str, str] | None = None
    binds: tuple[tuple[str, str], ...] = ()


def enter(isolation: Isolation) -> None:
    """Moves the calling process, which must have a single thread, into new namespaces.

    Raises OSError where the kernel or the lack of privileges forbids it.
    """
    flags = 0
    if isolation.user is not None:
        flags |= _CLONE_NEWUSER
    if isolation.network:
        flags |= _CLONE_NEWNET | _CLONE_NEWUTS
    if isolation.binds or isolation.deny or isolation.network:
        flags |= _CLONE_NEWNS
    if not flags:
        return
    outside = os.geteuid(), os.getegid()
    _check(_libc.unshare(flags), "unshare")
    if isolation.user is not None:
        _map_identity(isolation.user, *outside)
    if flags & _CLONE_NEWNS:
        _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    if isolation.network:
        socket.sethostname(isolation.hostname)
        # The sysfs of before shows the host's network devices for as long as it stays mounted.
        _mount("sysfs", "/sys", "sysfs", 0)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for source, target in isolation.binds:
        _mount(source, target, None, _MS_BIND)
    if isolation.deny is not None:
        # Real root passes any mode, so the mount itself must forbid writing.
        _cover(*isolation.deny, read_only=isolation.user is None)


def _cover(path: str, cover: str, *, read_only: bool) -> None:
    # What libvirt and QEMU ask first is whether they may write to the device. A covering device
    # node that opens but is none would have libvirt probe QEMU anew at every call.
    _mount(cover, path, None, _MS_BIND)
    if read_only:
        _mount(cover, path, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY)


def _map_identity(inside: int, uid: int, gid: int) -> None:
    process = Path("/proc/self")
    # A group map may be written only after giving up setgroups (user_namespaces(7)).
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"{inside} {uid} 1")
    (process / "gid_map").write_text(f"{inside} {gid} 1")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    encoded = None if kind is None else kind.encode()
    result = _libc.mount(os.fsencode(source), os.fsencode(target), encoded, flags, None)
    _check(result, f"mount {source} on {target}")


def _check(result: int, action: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{action}: {os.strerror(number)}")
