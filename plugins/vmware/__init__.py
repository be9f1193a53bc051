"""The providers ``vcenter`` and ``esxi``: VMware vSphere through pyvmomi.

One plugin serves both: a vCenter with its clusters and hosts, and a single ESXi host. The entry
points are :func:`vcenter` and :func:`esxi`. Diagnostics of this package are PRV2550..PRV2599 and
PRV5300..PRV5357.
"""

from __future__ import annotations

from provisioner_plugins.vmware.flavour import ESXI, VCENTER
from provisioner_plugins.vmware.provider import VmwareProvider


def vcenter() -> VmwareProvider:
    """What the entry point ``vcenter`` in the group ``provisioner.providers`` gives."""
    return VmwareProvider(VCENTER)


def esxi() -> VmwareProvider:
    """What the entry point ``esxi`` in the group ``provisioner.providers`` gives."""
    return VmwareProvider(ESXI)
