"""The handlers of the kinds that every libvirt plugin serves alike. Imports libvirt: loaded by a
provider's ``open``.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.disk_handler import DiskHandler
from provisioner_plugins._libvirt.handler import KindHandler
from provisioner_plugins._libvirt.image_handler import ImageHandler
from provisioner_plugins._libvirt.network_handler import NetworkHandler
from provisioner_plugins._libvirt.pool_handler import PoolHandler
from provisioner_plugins._libvirt.usage import VolumeUsers

STORAGE_KINDS = frozenset({PoolHandler.kind, ImageHandler.kind, DiskHandler.kind})


def shared_handlers(connection: Connection) -> Mapping[str, KindHandler]:
    """Handlers by kind, bound to a connection."""
    users = VolumeUsers(connection)
    handlers: tuple[KindHandler, ...] = (
        NetworkHandler(connection),
        PoolHandler(connection),
        ImageHandler(connection, users),
        DiskHandler(connection, users),
    )
    return {handler.kind: handler for handler in handlers}
