"""The two flavours of a lab daemon: where each keeps its files, what it is configured with, what it
is separated from. Called by ``daemon``, which starts and stops them alike.

Sources: libvirtd(8), https://libvirt.org/uri.html, https://libvirt.org/drvqemu.html.
"""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.launcher import SEARCH_PATH
from tests.lab.namespaces import Isolation

# A libvirt configuration file: text in quotes, numbers, lists.
Settings = Mapping[str, str | int | list[str]]
# A sockaddr_un holds 108 bytes, and the longest that libvirt makes for a guest (its agent channel)
# needs 86 of them below our directory.
_LONGEST_DIRECTORY = 20
_BOTH: Settings = {
    # Otherwise libvirt starts virtlogd, which would be one more process to look after.
    "stdio_handler": "file",
    "security_driver": "none",
    "max_core": 0,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """One daemon's files. ``runtime`` is what a machine has in memory and loses with its power;
    ``guests``, below it, holds NAME.pid of each running guest, ``capabilities`` what was found out
    about QEMU; ``environment`` is all that the daemon gets of one."""

    uri: str
    socket: Path
    runtime: Path
    guests: Path
    capabilities: Path
    configuration: Path
    isolation: Isolation
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": SEARCH_PATH, "LANG": "C"}
    )


def session(directory: Path, *, kvm: bool) -> Layout:
    """Files of an unprivileged daemon below ``directory``; it has no networks of its own."""
    _check_length(directory)
    homes = {
        "HOME": directory,
        "XDG_RUNTIME_DIR": directory / "r",
        "XDG_CONFIG_HOME": directory / "c",
        "XDG_CACHE_HOME": directory / "k",
        "XDG_DATA_HOME": directory / "d",
    }
    for home in homes.values():
        home.mkdir(mode=0o700, exist_ok=True)
    configuration = directory / "c" / "libvirt"
    configuration.mkdir()
    _write(configuration / "qemu.conf", _BOTH)
    # A daemon of root's is a system daemon whatever its URI says, so root needs another name.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    deny = None if kvm or user is None else _kvm_cover(directory)
    socket = directory / "r" / "libvirt" / "libvirt-sock"
    return Layout(
        uri=f"qemu+unix:///session?socket={socket}",
        socket=socket,
        runtime=homes["XDG_RUNTIME_DIR"],
        guests=directory / "r" / "libvirt" / "qemu" / "run",
        capabilities=directory / "k" / "libvirt" / "qemu" / "cache" / "capabilities",
        configuration=configuration / "libvirtd.conf",
        isolation=Isolation(user=user, deny=deny),
        environment={"PATH": SEARCH_PATH, "LANG": "C"}
        | {key: str(at) for key, at in homes.items()},
    )


def system(directory: Path, *, kvm: bool) -> Layout:
    """Files of a privileged daemon with its own mounts and network. Needs root."""
    _check_length(directory)
    places = {
        "etc": Path("/etc/libvirt"),
        "lib": Path("/var/lib/libvirt"),
        "run": Path("/run/libvirt"),
        "log": Path("/var/log/libvirt"),
        "cache": Path("/var/cache/libvirt"),
    }
    for name, target in places.items():
        (directory / name).mkdir()
        target.mkdir(parents=True, exist_ok=True)
    _write(
        directory / "etc" / "qemu.conf",
        {
            **_BOTH,
            "user": "root",
            "group": "root",
            "swtpm_user": "root",
            "swtpm_group": "root",
            "remember_owner": 0,
            "cgroup_controllers": [],
            "namespaces": [],
        },
    )
    socket = directory / "run" / "libvirt-sock"
    return Layout(
        uri=f"qemu+unix:///system?socket={socket}",
        socket=socket,
        runtime=directory / "run",
        guests=directory / "run" / "qemu",
        capabilities=directory / "cache" / "qemu" / "capabilities",
        configuration=directory / "etc" / "libvirtd.conf",
        isolation=Isolation(
            network=True,
            hostname=directory.name,
            binds=tuple((str(directory / name), str(target)) for name, target in places.items()),
            deny=None if kvm else _kvm_cover(directory),
        ),
    )


def write_daemon_configuration(layout: Layout, host_uuid: str, listener: Settings) -> None:
    """Writes libvirtd.conf. ``listener``: the settings of TCP or TLS, in libvirtd's own names."""
    settings: Settings = {
        "host_uuid": host_uuid,
        "auth_unix_rw": "none",
        "unix_sock_rw_perms": "0700",
    }
    _write(layout.configuration, {**settings, **listener})


def _kvm_cover(directory: Path) -> tuple[str, str] | None:
    # Guests of the lab are emulated, whether or not the machine has a KVM that works.
    device = Path("/dev/kvm")
    if not device.exists():
        return None
    cover = directory / "no-kvm"
    cover.touch(mode=0)
    return str(device), str(cover)


def _check_length(directory: Path) -> None:
    if len(os.fsencode(directory)) > _LONGEST_DIRECTORY:
        raise ValueError(
            f"{directory} is too long for the sockets below it: "
            f"at most {_LONGEST_DIRECTORY} bytes, such as /tmp/lab-abcdefgh"
        )


def _write(path: Path, settings: Settings) -> None:
    path.write_text("".join(f"{key} = {_literal(value)}\n" for key, value in settings.items()))


def _literal(value: str | int | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'
