"""What can be known of a replica's machine at the endpoint where it runs. Called by
:mod:`handler`, with the site of another session.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.machine.properties import STAMP, UUID
from provisioner_plugins.vmware.ownership import gone, is_stamped_by, not_ours
from provisioner_plugins.vmware.replication import refusals
from provisioner_plugins.vmware.replication.copies import Place, copy_at, times_on
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import file_of
from provisioner_plugins.vmware.storage.store import Stores
from provisioner_plugins.vmware.wire.sweep import look

_POWER = "runtime.powerState"


def written(site: Site, replica: Replica, deadline: Deadline) -> Mapping[Address, datetime]:
    """When the disks of a machine that is off were written to last, by address. Of one that runs
    nobody can tell: empty.

    Raises Terminal: PRV5315 if the machine is not there, PRV5319 if it is not ours, PRV5348 if a
    disk is not there.
    """
    if not _is_off(site, replica.machine):
        return {}
    stores = Stores(site)
    places: dict[Address, Place] = {}
    for address in replica.disks:
        disk = replica.machine.related.get(address)
        file = None if disk is None else file_of(disk)
        store = None if file is None else stores.of(file.datastore)
        if file is None or store is None:
            raise Terminal(refusals.no_source(replica, address))
        places[address] = (store, file.path)
    searched = {}
    for moid, answer in times_on(site, places.values(), deadline).items():
        if isinstance(answer, Terminal):
            raise answer
        searched[moid] = answer
    result = {}
    for address, place in places.items():
        found = copy_at([place], searched)
        if found is None:
            raise Terminal(refusals.no_source(replica, address))
        result[address] = found.taken
    return result


def _is_off(site: Site, machine: Resource) -> bool:
    handle = find(site, machine.external_id or str(machine.uid))
    if handle is None:
        raise Terminal(gone(machine))
    wanted = {vim.VirtualMachine: (UUID, STAMP, _POWER)}
    for row in look(site.client, f"look at machine {machine.name}", (handle,), wanted):
        value = row.get(STAMP)
        mark = None if value is None else Mark.parse(str(value.value))
        stamp = None if mark is None else mark.stamp
        if not is_stamped_by(machine, stamp, str(row.get(UUID))):
            raise Terminal(not_ours(machine, stamp))
        return str(row.get(_POWER)) == "poweredOff"
    raise Terminal(gone(machine))
