"""The guests that vSphere knows by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.refusal import out_of_range

_SOURCE = "vSphere Web Services API, VirtualMachineGuestOsIdentifier"


def unknown_guest(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A diagnostic for a guest that the API has no name for; what a vCenter that is newer than
    pyvmomi knows beside these is said with the hint.
    """
    wanted = spec.get("guestOs")
    known = [str(name) for name in vim.vm.GuestOsDescriptor.GuestOsIdentifier.values]
    if wanted is None or wanted in known:
        return
    near = nearest(str(wanted), known)
    meant = f"Near it: {', '.join(near)}. " if near else ""
    yield replace(
        out_of_range(("guestOs",), str(wanted), "It takes identifiers of guests", _SOURCE),
        hint=f"{meant}A guest that is newer than this pyvmomi needs a newer one.",
    )
