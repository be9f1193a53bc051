"""Hosts that a vCenter manages: members of clusters, and standalone ones.

Source: vSphere Web Services API, ClusterComputeResource, Folder and HostSystem; HostConnectSpec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import Change, InUse, Outcome, Present, Resource, Terminal
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.places import folder_above, is_root
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine.finding import is_of_extension
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.specs import touches
from provisioner_plugins.vmware.wire.errors import REFUSED
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look
from provisioner_plugins.vmware.wire.tls import thumbprint_of

_MAINTENANCE, _CONNECTION = "runtime.inMaintenanceMode", "runtime.connectionState"
_ON_IT: Wanted = MappingProxyType({vim.HostSystem: ("vm",)})
_PORT = 443
_FULL = vim.cluster.DrsConfigInfo.DrsBehavior.fullyAutomated


class ClusterHostHandler(EntityHandler):
    """Handler of the kind ClusterHost. A host is called by its address."""

    kind = "ClusterHost"
    title = "host"
    sort = vim.HostSystem
    reads: Wanted = MappingProxyType(
        {vim.HostSystem: (_MAINTENANCE, _CONNECTION, "summary.config.port")}
    )
    places = ("cluster", "folder")
    bears_name = False

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        if "cluster" in target.spec:
            return References(target.related).moid("Cluster", target.spec["cluster"])
        return folder_above(self._site, inventory, target, "host", "folder")

    def place_of(self, inventory: Inventory, row: Row) -> str | None:
        """See the base: the cluster, or the folder that a standalone host is in."""
        parent = inventory.parent(row)
        if parent is None or issubclass(parent.kind, vim.ClusterComputeResource):
            return None if parent is None else parent.moid
        folder = inventory.parent(parent)
        return None if folder is None else folder.moid

    def named(self, inventory: Inventory, rows: Sequence[Row], target: Resource) -> Sequence[Row]:
        """See the base: an endpoint has a host once. One that is marked as another resource of the
        same stack is that one's.
        """
        if target.exact:
            return super().named(inventory, rows, target)
        address = str(target.spec["address"]).lower()
        found = []
        for row in rows:
            mark = inventory.mark(row)
            is_anothers = mark is not None and mark.stamp.lineage == target.stamp.lineage
            if name_of(row).lower() == address and not is_anothers:
                found.append(row)
        return found

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        spec: dict[str, Any] = {
            "address": name_of(row),
            "port": int(row.get("summary.config.port", _PORT)),
            "maintenance": bool(row.get(_MAINTENANCE, False)),
        }
        within, parent = inventory.above(row, vim.Datacenter), inventory.parent(row)
        if within is not None:
            spec["datacenter"] = names.name("Datacenter", within.moid)
        if parent is not None and issubclass(parent.kind, vim.ClusterComputeResource):
            spec["cluster"] = names.name("Cluster", parent.moid)
        elif parent is not None:
            folder = inventory.parent(parent)
            if folder is not None and not is_root(folder, inventory):
                spec["folder"] = names.name("Folder", folder.moid)
        return spec

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`."""
        del inventory, deadline, thorough
        missing = _without_login(undertaking.resource)
        if undertaking.creates and missing is not None:
            yield missing

    # --- writing ---

    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """See the base."""
        license_key = resource.spec.get("license")
        what = f"add host {resource.spec['address']}"
        if license_key is not None:
            self._site.client.call(what, lambda content: _known(content, license_key))
        login = self._login(resource)
        managed = self._site.client.managed

        def start(_: Any) -> Any:
            if "cluster" in resource.spec:
                cluster = managed(vim.ClusterComputeResource, above)
                return cluster.AddHost_Task(login, asConnected=True, license=license_key)
            folder = managed(vim.Folder, above)
            return folder.AddStandaloneHost_Task(login, addConnected=True, license=license_key)

        try:
            return self._site.run(what, start, deadline)
        except Terminal as problem:
            if problem.diagnostic.code == REFUSED.code:
                raise Terminal(_refused(resource, problem)) from problem
            raise

    def _login(self, resource: Resource) -> Any:
        """How a vCenter gets at it. Its certificate is compared with the fingerprint first: a
        vCenter that is given the thumbprint of this certificate sends the password to no other.
        """
        spec = resource.spec
        missing = _without_login(resource)
        if missing is not None:
            raise Terminal(missing)
        address, port = str(spec["address"]), int(spec.get("port", _PORT))
        thumbprint = None
        if "fingerprint" in spec:
            seconds = self._site.client.read_seconds
            thumbprint = thumbprint_of(address, port, str(spec["fingerprint"]), seconds)
        try:
            secrets = self._site.client.context.secrets
            password = secrets.resolve(spec["password"]["secretRef"]).reveal()
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem
        return vim.host.ConnectSpec(
            hostName=address,
            port=port,
            sslThumbprint=thumbprint,
            userName=spec["username"],
            password=password,
            force=False,
        )

    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """See the base."""
        if int(spec.get("port", _PORT)) != int(row.get("summary.config.port", _PORT)):
            self._reconnect(resource, row, deadline)
        self._maintain(row, deadline, wanted=bool(spec.get("maintenance", False)))

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See the base. Nothing tells which licence a host has: it gets another one only where the
        manifest has changed, and a new host gets its own as it is added.
        """
        outcome = super().update(resource, observed, changes, restart, deadline)
        key = resource.spec.get("license")
        if key is not None and touches(changes)(("license",)):
            self._license(resource, outcome.external_id, str(key))
        return outcome

    def _license(self, resource: Resource, moid: str, key: str) -> None:
        def assign(content: Any) -> None:
            _known(content, key)
            content.licenseManager.licenseAssignmentManager.UpdateAssignedLicense(moid, key)

        self._site.client.call(f"license host {resource.spec['address']}", assign)

    def _reconnect(self, resource: Resource, row: Row, deadline: Deadline) -> None:
        entity, login = self.entity(row), self._login(resource)
        what = f"connect host {name_of(row)} anew"
        self._site.run(what, lambda _: entity.DisconnectHost_Task(), deadline)
        self._site.run(what, lambda _: entity.ReconnectHost_Task(login), deadline)

    def _maintain(self, row: Row, deadline: Deadline, *, wanted: bool) -> None:
        entity = self.entity(row)
        what = f"look at host {name_of(row)}"
        [now] = look(self._site.client, what, [entity], {vim.HostSystem: (_MAINTENANCE,)}) or [row]
        if bool(now.get(_MAINTENANCE, False)) == wanted:
            return
        seconds = max(1, int(deadline.remaining()))
        self._site.run(
            f"{'put' if wanted else 'take'} host {name_of(row)} "
            f"{'into' if wanted else 'out of'} maintenance",
            lambda _: (
                entity.EnterMaintenanceMode_Task(timeout=seconds)
                if wanted
                else entity.ExitMaintenanceMode_Task(timeout=seconds)
            ),
            deadline,
        )

    def move(
        self, inventory: Inventory, resource: Resource, row: Row, above: str, deadline: Deadline
    ) -> None:
        """See the base. A host leaves a cluster in maintenance only."""
        parent = inventory.parent(row)
        of_cluster = parent is not None and issubclass(parent.kind, vim.ClusterComputeResource)
        if of_cluster:
            self._maintain(row, deadline, wanted=True)
        managed, entity = self._site.client.managed, self.entity(row)

        def start(_: Any) -> Any:
            if "cluster" in resource.spec:
                return managed(vim.ClusterComputeResource, above).MoveInto_Task([entity])
            assert parent is not None
            moved = entity if of_cluster else self.entity(parent)
            return managed(vim.Folder, above).MoveIntoFolder_Task([moved])

        self._site.run(f"move host {name_of(row)}", start, deadline)

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Refused while machines are on it that stay there in maintenance, into which it is put for
        it: vSphere would forget them. One that is out of reach can be put nowhere, and need not.
        """
        host, parent = self.entity(row), inventory.parent(row)
        is_reached = row.get(_CONNECTION) == vim.HostSystem.ConnectionState.connected
        goes_in = is_reached and not row.get(_MAINTENANCE, False)
        if goes_in:
            if parent is None or not _moves_machines(parent):
                # Until somebody moved those that run, the host would not get there.
                self.require_empty(resource, [host], _ON_IT)
            self._maintain(row, deadline, wanted=True)
        try:
            self.require_empty(resource, [host], _ON_IT)
        except InUse:
            if goes_in:
                self._maintain(row, deadline, wanted=False)
            raise
        of_cluster = parent is None or issubclass(parent.kind, vim.ClusterComputeResource)
        entity = host if parent is None or of_cluster else self.entity(parent)
        self._site.run(f"remove host {name_of(row)}", lambda _: entity.Destroy_Task(), deadline)

    def does_count(self, row: Row) -> bool:
        """See the base. Agents of the vCenter go when their host does."""
        return not is_of_extension(row)


def _moves_machines(cluster: Row) -> bool:
    """Whether a cluster takes machines off a host that goes into maintenance by itself."""
    drs = cluster.get("configurationEx.drsConfig")
    level = getattr(drs, "defaultVmBehavior", None)
    return bool(getattr(drs, "enabled", False)) and level == _FULL


def _without_login(resource: Resource) -> Diagnostic | None:
    absent = [field for field in ("username", "password") if field not in resource.spec]
    if not absent:
        return None
    return error(
        "PRV5334",
        f"host {resource.spec['address']} cannot be logged in to",
        detail=f"{resource.address} has no {' and no '.join(absent)}.",
        hint="A vCenter logs in to a host to take it in: write both, of an account that "
        "may do everything there.",
        address=str(resource.address),
        path=(absent[0],),
    )


def _known(content: Any, key: str) -> None:
    content.licenseManager.AddLicense(key, None)


def _refused(resource: Resource, problem: Terminal) -> Any:
    return error(
        REFUSED.code,
        f"host {resource.spec['address']} refused the user name or the password",
        detail=problem.diagnostic.detail,
        hint=f"Check username and password of {resource.address}.",
        address=str(resource.address),
    )
