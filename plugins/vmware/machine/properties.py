"""The properties of machines that the plugin reads, cheap ones of every machine and the rest of
those that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner_plugins.vmware.stamp import FIELD

STAMP = f'config.extraConfig["{FIELD}"]'

OF_EVERY: Sequence[str] = (
    "config.instanceUuid",
    "config.template",
    "config.changeVersion",
    STAMP,
)
OF_THOSE_ASKED_ABOUT: Sequence[str] = (
    "name",
    "parent",
    "resourcePool",
    "runtime.powerState",
    "runtime.host",
    "guest.ipAddress",
    "guest.toolsRunningStatus",
    "config.instanceUuid",
    "config.uuid",
    "config.annotation",
    "config.guestId",
    "config.version",
    "config.firmware",
    "config.bootOptions",
    "config.files.vmPathName",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.hardware.memoryMB",
    "config.hardware.device",
    "config.cpuHotAddEnabled",
    "config.cpuHotRemoveEnabled",
    "config.memoryHotAddEnabled",
    "config.nestedHVEnabled",
    "config.extraConfig",
)
