"""The handlers of every kind that the plugin serves, bound to a session. Imports pyvmomi: loaded
by the provider's ``open``.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner_plugins.vmware.handler import KindHandler
from provisioner_plugins.vmware.machine.handler import MachineHandler
from provisioner_plugins.vmware.site import Site


def handlers_of(site: Site) -> Mapping[str, KindHandler]:
    """Handlers by kind."""
    handlers: tuple[KindHandler, ...] = (MachineHandler(site),)
    return {handler.kind: handler for handler in handlers}
