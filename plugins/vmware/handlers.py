"""The handlers of every kind that the plugin serves, bound to a session. Imports pyvmomi: loaded
by the provider's ``open``.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner_plugins.vmware.access.permission import PermissionHandler
from provisioner_plugins.vmware.access.role import RoleHandler
from provisioner_plugins.vmware.handler import KindHandler
from provisioner_plugins.vmware.hierarchy.cluster import ClusterHandler
from provisioner_plugins.vmware.hierarchy.cluster_host import ClusterHostHandler
from provisioner_plugins.vmware.hierarchy.datacenter import DatacenterHandler
from provisioner_plugins.vmware.hierarchy.folder import FolderHandler
from provisioner_plugins.vmware.hierarchy.placement_rule import PlacementRuleHandler
from provisioner_plugins.vmware.hierarchy.resource_pool import ResourcePoolHandler
from provisioner_plugins.vmware.machine.handler import MachineHandler
from provisioner_plugins.vmware.network.handler import NetworkHandler
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.snapshot.handler import SnapshotHandler
from provisioner_plugins.vmware.storage.disk_handler import DiskHandler
from provisioner_plugins.vmware.storage.image_handler import ImageHandler
from provisioner_plugins.vmware.storage.pool_handler import PoolHandler


def handlers_of(site: Site) -> Mapping[str, KindHandler]:
    """Handlers by kind, in the order in which objects refer to one another."""
    handlers: tuple[KindHandler, ...] = (
        DatacenterHandler(site),
        FolderHandler(site),
        ClusterHandler(site),
        ClusterHostHandler(site),
        ResourcePoolHandler(site),
        NetworkHandler(site),
        PoolHandler(site),
        DiskHandler(site),
        ImageHandler(site),
        MachineHandler(site),
        SnapshotHandler(site),
        PlacementRuleHandler(site),
        RoleHandler(site),
        PermissionHandler(site),
    )
    return {handler.kind: handler for handler in handlers}
