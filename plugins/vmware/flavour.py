"""What tells a vCenter from a single ESXi host, as far as this plugin has to know. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the two sorts of endpoints. ``api_type`` is what such an endpoint says of itself in
    ``AboutInfo.apiType`` (vSphere Web Services API).
    """

    name: str
    title: str
    api_type: str


VCENTER = Flavour("vcenter", "vCenter Server", "VirtualCenter")
ESXI = Flavour("esxi", "ESXi host", "HostAgent")
FLAVOURS = (VCENTER, ESXI)
