"""The handlers of the kinds that every libvirt plugin serves alike. Imports libvirt: loaded by a provider's ``open``."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.handler import KindHandler
from provisioner_plugins._libvirt.network_handler import NetworkHandler


def shared_handlers(connection: Connection) -> Mapping[str, KindHandler]:
    """Handlers by kind, bound to a connection."""
    handlers: tuple[KindHandler, ...] = (NetworkHandler(connection),)
    return {handler.kind: handler for handler in handlers}
