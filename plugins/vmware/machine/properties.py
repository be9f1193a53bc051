"""The properties of machines that the plugin reads: of every machine what is cheap and moves by
itself, of those that are asked about their configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner_plugins.vmware.machine.standby import PROPERTY as STANDBY
from provisioner_plugins.vmware.stamp import FIELD

STAMP = f'config.extraConfig["{FIELD}"]'
TEMPLATE = "config.template"
UUID = "config.instanceUuid"
GUEST = "config.guestId"
EXTENSION = "config.managedBy.extensionKey"
"""The extension of the vCenter that looks after a machine, where one does: an agent of a cluster
(vCLS), a placeholder of replication (vSphere Web Services API, ManagedByInfo).
"""
SNAPSHOTS = "snapshot.rootSnapshotList"

VERSIONS: Sequence[str] = ("config.changeVersion", "config.version", "config.files.vmPathName")
"""As long as these stay, so does the configuration. ``changeVersion`` moves with every
reconfiguration, but not with an upgrade of the hardware or a move to another datastore (seen on the
simulator), which the others tell.
"""
OF_EVERY: Sequence[str] = (
    UUID,
    TEMPLATE,
    *VERSIONS,
    "resourcePool",
    SNAPSHOTS,
    EXTENSION,
    "runtime.powerState",
    "guest.ipAddress",
    "guest.toolsRunningStatus",
)
"""What finds a machine, moves without its versions, or is one of them: a sweep costs by the number
of these.
"""
OF_CONFIG: Sequence[str] = (
    STAMP,
    STANDBY,
    *VERSIONS,
    "config.uuid",
    "config.annotation",
    GUEST,
    "config.firmware",
    "config.bootOptions",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.hardware.memoryMB",
    "config.hardware.device",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "config.hotPlugMemoryLimit",
    "config.hotPlugMemoryIncrementSize",
    "config.nestedHVEnabled",
    "config.cpuAllocation",
    "config.memoryAllocation",
)
OF_ONE: Sequence[str] = ("name", "parent", *dict.fromkeys((*OF_EVERY, *OF_CONFIG)))
"""All of both, of a machine that something is about to be done to."""

TOOLS = "guest.toolsVersionStatus2"
PENDING = "config.tools.pendingCustomization"
"""What VMware Tools in the guest are known to be; the customisation that waits for a start. Read of
a machine whose guest is to be customised."""
