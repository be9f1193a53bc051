"""What can be said of a machine's ``customization`` without an endpoint, and which guests vSphere
customises here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.flavour import ESXI, Flavour
from provisioner_plugins.vmware.refusal import unusable

FIELD = "customization"
_WINDOWS = "win"
# VirtualMachineGuestOsIdentifier (vSphere Web Services API): all others are Linux distributions.
_NO_LINUX = (
    *(_WINDOWS, "crx", "darwin", "dos", "eComStation", "freebsd", "netware", "openServer", "os2"),
    *("otherGuest", "solaris", "unixWare", "vmkernel"),
)
_CLOUD_INIT = "Configure the guest through cloudInit"


def problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    """What no such endpoint could carry out."""
    section = spec.get(FIELD)
    if section is None:
        return
    if flavour is ESXI:
        yield unusable((FIELD,), "only a vCenter customises guests", f"{_CLOUD_INIT}.")
    name = section.get("hostName")
    if isinstance(name, str) and "." in name:
        yield unusable(
            (FIELD, "hostName"),
            f"{name!r} has a domain in it",
            "Write the first part here, and the rest into domain.",
        )
    guest = spec.get("guestOs")
    if isinstance(guest, str):
        found = _why_not(guest)
        if found is not None:
            yield unusable((FIELD,), *found)


def obstacle(resource: Resource, guest: str, tools: str = "") -> Diagnostic | None:
    """Why a guest cannot be customised. ``guest`` is its guestId, ``tools`` the
    VirtualMachineToolsVersionStatus of VMware Tools in it, "" where nobody knows.
    """
    found = _why_not(guest)
    if found is None and tools == "guestToolsNotInstalled":
        found = (
            "VMware Tools, which carry it out, are not installed in the guest",
            f"Install open-vm-tools there. {_CLOUD_INIT} where it has that instead.",
        )
    if found is None:
        return None
    return error(
        "PRV5342",
        f"the guest of machine {resource.name} cannot be customised",
        detail=f"{found[0][:1].upper()}{found[0][1:]}.",
        hint=found[1],
        path=(FIELD,),
        address=str(resource.address),
    )


def is_linux(guest: str) -> bool:
    """Whether a guestId is that of a Linux distribution."""
    return bool(guest) and not guest.startswith(_NO_LINUX)


def _why_not(guest: str) -> tuple[str, str] | None:
    """What is in the way, and what to do; None for a Linux."""
    if guest.startswith(_WINDOWS):
        return (
            "Windows asks for an owner, a licence and an administrator's password, for which a "
            "manifest has no place",
            f"{_CLOUD_INIT} and Cloudbase-Init.",
        )
    if guest.startswith(_NO_LINUX):
        return (
            f"vSphere has to know that its system is a Linux; guestOs is {guest}",
            "Write guestOs, such as debian12_64Guest.",
        )
    return None
