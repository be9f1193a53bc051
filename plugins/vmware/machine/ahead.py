"""What would stand in the way of a machine in the middle of a step; asked while a plan is made and
before it is applied.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.machine import addresses, home, properties
from provisioner_plugins.vmware.machine.building import DEFAULT_GUEST
from provisioner_plugins.vmware.machine.customization import FIELD, obstacle
from provisioner_plugins.vmware.machine.guests import unknown_guest
from provisioner_plugins.vmware.machine.limits import beyond, newest_hardware, unsupported
from provisioner_plugins.vmware.machine.source import Sources, objections
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.specs import touches
from provisioner_plugins.vmware.wire.sweep import look


def obstacles(
    site: Site, sources: Sources, inventory: Inventory, undertaking: Undertaking
) -> Iterator[Diagnostic]:
    """A new machine needs a place that there is, a copy a template that can be copied, and a guest
    that is to be customised a system of which vSphere knows how. Any guest has to be known, and
    what is there has to take what is asked of it.
    """
    resource = undertaking.resource
    yield from _of_hardware(site, inventory, undertaking)
    if undertaking.creates:
        yield from home.obstacles(site, resource)
        guest, tools = DEFAULT_GUEST, ""
        if "clone" in resource.spec:
            source = sources.find(inventory, resource)
            if source is None:
                return
            yield from objections(resource, source)
            guest, tools = source.machine.record.guest, source.tools
    else:
        changes = touches(undertaking.changes)((FIELD,))
        found = _guest(site, inventory, resource) if changes else None
        if found is None:
            return
        guest, tools = found
    if FIELD in resource.spec:
        problem = obstacle(resource, str(resource.spec.get("guestOs", guest)), tools)
        if problem is not None:
            yield problem


def _of_hardware(
    site: Site, inventory: Inventory, undertaking: Undertaking
) -> Iterator[Diagnostic]:
    """Without ``machineType`` that of the machine counts, and for a new one the endpoint's newest;
    a copy has its template's.
    """
    resource, changes = undertaking.resource, undertaking.changes
    spec, api = resource.spec, site.client.api_version
    yield from addresses.refused(resource.spec, changes)
    if undertaking.creates or touches(changes)(("guestOs",)):
        yield from unknown_guest(spec)
    if undertaking.creates or touches(changes)(("machineType",)):
        yield from unsupported(spec, api)
    if "machineType" in spec:
        return
    row = inventory.having(
        vim.VirtualMachine, properties.UUID, resource.external_id or str(resource.uid)
    )
    newest = newest_hardware(api)
    if changes and row is not None:
        yield from beyond({**spec, "machineType": row.get("config.version")})
    elif undertaking.creates and "clone" not in spec and newest is not None:
        yield from beyond({**spec, "machineType": f"vmx-{newest}"})


def _guest(site: Site, inventory: Inventory, resource: Resource) -> tuple[str, str] | None:
    """The guestId of a machine, and what is known of its VMware Tools; None if it is gone."""
    row = inventory.having(vim.VirtualMachine, properties.UUID, resource.external_id)
    objects = [] if row is None else [site.client.managed(vim.VirtualMachine, row.moid)]
    wanted = {vim.VirtualMachine: (properties.GUEST, properties.TOOLS)}
    for read in look(site.client, f"read machine {resource.name}", objects, wanted):
        return str(read.get(properties.GUEST, "")), str(read.get(properties.TOOLS, ""))
    return None
