"""The rules of every kind that the plugin serves. Pure: the provider imports this.

The handlers of the same kinds are in :mod:`~provisioner_plugins.vmware.handlers`.
"""

from __future__ import annotations

from provisioner_plugins.vmware.access.rules import ACCESS_RULES
from provisioner_plugins.vmware.handler import KindRules
from provisioner_plugins.vmware.hierarchy.rules import HIERARCHY_RULES
from provisioner_plugins.vmware.machine.rules import MachineRules
from provisioner_plugins.vmware.network.rules import NetworkRules
from provisioner_plugins.vmware.snapshot.rules import SnapshotRules
from provisioner_plugins.vmware.storage.disk import DiskRules
from provisioner_plugins.vmware.storage.image import ImageRules
from provisioner_plugins.vmware.storage.pool import PoolRules

RULES: tuple[KindRules, ...] = (
    *HIERARCHY_RULES,
    *ACCESS_RULES,
    MachineRules(),
    NetworkRules(),
    PoolRules(),
    DiskRules(),
    ImageRules(),
    SnapshotRules(),
)
