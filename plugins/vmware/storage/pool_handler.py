"""Datastores as StoragePools: given to hosts, taken from them again; what lies on them is never
touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    InUse,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Terminal,
    Undetermined,
)
from provisioner_plugins.vmware.flavour import VCENTER
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.marks import Marks
from provisioner_plugins.vmware.ownership import gone, half_made, not_ours, require_time, taken
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.mounts import Mounts
from provisioner_plugins.vmware.storage.pods import Pods
from provisioner_plugins.vmware.storage.pool import CLUSTER
from provisioner_plugins.vmware.storage.pool_reading import (
    POOLS,
    READS,
    Finder,
    Names,
    present,
    spec_of,
)
from provisioner_plugins.vmware.wire.errors import IN_USE
from provisioner_plugins.vmware.wire.sweep import Row, look

_PAUSE_SECONDS = 0.2


class PoolHandler:
    """Handler of the kind StoragePool."""

    kind = "StoragePool"
    reads = READS

    def __init__(self, site: Site) -> None:
        self._site = site
        self._marks = Marks(site.client)
        self._mounts = Mounts(site)
        self._pods = Pods(site)

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        finder = Finder(self._site, inventory)
        answers: dict[Address, Observation] = {}
        for target in targets:
            found = finder.find(target)
            if isinstance(found, Row):
                names = Names.of(target.related)
                owner = finder.owner(target, found)
                answers[target.address] = self._present(inventory, found, names, owner)
            else:
                answers[target.address] = found
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        rows = [*inventory.rows(*POOLS)]
        told = inventory.told(rows)
        for row in rows:
            mark = inventory.mark(row)
            owner = None if mark is None else mark.stamp
            observed = self._present(inventory, row, Names({}), owner)
            yield Discovered(self.kind, told[row.moid], observed, tuple(_notes(row, observed)))

    def _present(self, inventory: Inventory, row: Row, names: Names, owner: Any) -> Present:
        of_vcenter = self._site.flavour is VCENTER
        spec = spec_of(inventory, row, names, of_vcenter=of_vcenter)
        plain = spec_of(inventory, row, Names({}), of_vcenter=of_vcenter)
        mark = inventory.mark(row)
        itself = {"spec": plain, "owner": None if mark is None else mark.stamp.as_json()}
        return present(row, spec, owner, itself)

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        inventory = self._inventory()
        finder = Finder(self._site, inventory)
        row = self._found(finder, resource)
        if row is not None and not finder.is_ours(resource, row):
            raise Terminal(taken(resource, f"is {inventory.path(row)}"))
        if resource.spec["type"] == CLUSTER:
            moid = self._pods.make(resource, inventory, row, deadline)
        else:
            moid = self._mounts.make(resource, inventory, row, deadline)
        with half_made():
            return self._finish(resource, moid, deadline)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        del restart
        require_time(resource, deadline)
        inventory = self._inventory()
        row = self._own(inventory, resource, observed.external_id)
        fields = {change.path[0] for change in changes}
        if issubclass(row.kind, vim.StoragePod):
            self._pods.edit(resource, inventory, row, fields, deadline)
        elif "hosts" in fields:
            self._mounts.edit(resource, inventory, row, deadline)
        return self._finish(resource, row.moid, deadline)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write the mark; on an ESXi host that it is recorded makes it ours."""
        require_time(resource, deadline)
        inventory = self._inventory()
        row = inventory.row(observed.external_id)
        if row is None:
            raise Terminal(gone(resource))
        mark = inventory.mark(row)
        if mark is not None and not Finder(self._site, inventory).is_ours(resource, row):
            raise Terminal(not_ours(resource, mark.stamp))
        entity = self._site.client.managed(row.kind, row.moid)
        self._marks.write(f"datastore {name_of(row)}", entity, Mark.of(resource))
        return Outcome(row.moid, observed.outputs)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Take it from the hosts; refused while machines have files on it. What lies on it stays,
        and a VMFS, which cannot be taken from hosts without its data, only loses its mark.
        """
        require_time(resource, deadline)
        inventory = self._inventory()
        row = self._recorded(inventory, resource)
        if row is None:
            return
        self._own(inventory, resource, row.moid)
        if issubclass(row.kind, vim.StoragePod):
            self._pods.remove(inventory, row, deadline)
        elif isinstance(row.get("info"), vim.host.VmfsDatastoreInfo):
            self._marks.remove(f"datastore {name_of(row)}", self._entity(row))
            return
        else:
            self._require_unused(resource, row)
            self._mounts.remove(row)
        self._await_end(resource, row, deadline)

    # --- the parts of writing ---

    def _inventory(self) -> Inventory:
        kinds = (vim.Datacenter, vim.Folder, vim.Datastore, vim.ComputeResource, vim.HostSystem)
        wanted = {**READS, vim.Datacenter: ("datastoreFolder",)}
        return Inventory(self._site.client, wanted, kinds)

    def _entity(self, row: Row) -> Any:
        return self._site.client.managed(row.kind, row.moid)

    def _found(self, finder: Finder, resource: Resource) -> Row | None:
        found = finder.find(resource)
        if isinstance(found, Undetermined):
            raise Terminal(found.diagnostic)
        return None if isinstance(found, Absent) else found

    def _own(self, inventory: Inventory, resource: Resource, moid: str) -> Row:
        row = inventory.row(moid)
        if row is None:
            raise Terminal(gone(resource))
        finder = Finder(self._site, inventory)
        if not finder.is_ours(resource, row):
            raise Terminal(not_ours(resource, finder.owner(resource, row)))
        return row

    def _recorded(self, inventory: Inventory, resource: Resource) -> Row | None:
        """By its id or its mark; a name is no proof, but where the creation was begun."""
        found = self._found(Finder(self._site, inventory), resource)
        if found is None or found.moid == resource.external_id:
            return found
        is_known = inventory.mark(found) is not None and Finder(self._site, inventory).is_ours(
            resource, found
        )
        return found if is_known or resource.begun else None

    def _finish(self, resource: Resource, moid: str, deadline: Deadline) -> Outcome:
        """Mark it, put it into its folder, and say where it is."""
        inventory = self._inventory()
        row = inventory.row(moid)
        if row is None:
            raise Terminal(gone(resource))
        mark = Mark.of(resource)
        if self._marks.have_room and inventory.mark(row) != mark:
            self._marks.write(f"datastore {name_of(row)}", self._entity(row), mark)
        self._move(resource, inventory, row, deadline)
        # Whoever looks for a place from now on has to see it.
        self._site.places(anew=True)
        return Outcome(moid, present(row, {}, None, {}).outputs)

    def _move(self, resource: Resource, inventory: Inventory, row: Row, deadline: Deadline) -> None:
        name = resource.spec.get("folder")
        if name is None:
            return
        folder = self._site.referred(resource, "Folder", ("folder",), name)
        parent = inventory.parent(row)
        if parent is not None and parent.moid != folder.moid:
            target = self._site.client.managed(vim.Folder, folder.moid)
            self._site.run(
                f"move datastore {name_of(row)}",
                lambda _: target.MoveIntoFolder_Task([self._entity(row)]),
                deadline,
            )

    def _require_unused(self, resource: Resource, row: Row) -> None:
        what = f"look for machines on datastore {name_of(row)}"
        rows = look(self._site.client, what, (self._entity(row),), {vim.Datastore: ("vm",)})
        machines = [machine for found in rows for machine in found.get("vm", ())]
        if machines:
            named = look(self._site.client, what, machines, {vim.VirtualMachine: ("name",)})
            raise InUse(_in_use(resource, sorted(name_of(item) for item in named)))

    def _await_end(self, resource: Resource, row: Row, deadline: Deadline) -> None:
        """A vCenter forgets it when its hosts have told that it is gone."""
        what = f"wait for the end of datastore {name_of(row)}"
        while look(self._site.client, what, (self._entity(row),), {row.kind: ("name",)}):
            if deadline.passed:
                raise Retryable(_still_there(resource))
            self._site.sleep(_PAUSE_SECONDS)
        self._site.places(anew=True)


def _notes(row: Row, observed: Present) -> Iterator[str]:
    if "type" not in observed.spec:
        yield f"it is of the type {row.get('summary.type')}, which no StoragePool has"
    if not row.get("summary.accessible", True):
        yield "no host can reach it now: the disks and images on it are not told"


def _in_use(resource: Resource, machines: Sequence[str]) -> Diagnostic:
    return error(
        IN_USE.code,
        f"{resource.kind} {resource.name} is in use",
        detail=f"Files of these machines are on it: {', '.join(machines)}.",
        hint=IN_USE.hint,
        address=str(resource.address),
    )


def _still_there(resource: Resource) -> Diagnostic:
    return error(
        "PRV5308",
        f"{resource.kind} {resource.name}: there was no time left to wait for its end",
        hint="Raise limits.stepTimeout in the Host's manifest.",
        address=str(resource.address),
    )
