"""Finds machines among all machines of an endpoint; called by the handler for its observations."""

from __future__ import annotations

from collections.abc import Sequence

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic, error, warning
from provisioner.providers.api import Absent, Resource, Terminal, Undetermined
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.home import name_folder
from provisioner_plugins.vmware.site import Site, listed
from provisioner_plugins.vmware.wire.sweep import Row


class Finder:
    """Finds the machines of targets among all machines of an inventory."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self._inventory = inventory
        rows = [row for row in inventory.rows(vim.VirtualMachine) if not is_template(row)]
        self._by_uuid = {str(row.get(properties.UUID)): row for row in rows}
        self._unread = [row for row in rows if is_unread(row)]
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            self._by_name.setdefault(name_of(row), []).append(row)

    def find(self, target: Resource) -> Row | Absent | Undetermined:
        """The machine of a target by identity, by recorded id, by name."""
        for uuid in (str(target.uid), target.external_id):
            row = self._by_uuid.get(uuid or "")
            if row is not None:
                return row
        unread = self._may_be(target)
        if unread:
            return Undetermined(untold(target, [self._inventory.path(row) for row in unread]))
        found = self._by_name.get(target.name, [])
        if target.name.startswith("/"):
            found = self._inventory.named(target.name, (vim.VirtualMachine,))
        if found and not target.exact:
            try:
                folder = name_folder(self._site, target)
            except Terminal as problem:
                return Undetermined(problem.diagnostic)
            found = [row for row in found if _is_in(row, folder)]
        if len(found) > 1:
            return Undetermined(_ambiguous(target, [self._inventory.path(row) for row in found]))
        if found and is_of_extension(found[0]):
            path = self._inventory.path(found[0])
            return Undetermined(of_extension(target, path, found[0]))
        return found[0] if found else Absent()

    def _may_be(self, target: Resource) -> list[Row]:
        """Machines that may be the target's, as nobody tells what they are: any, where it is known
        to be there; else one of its name.
        """
        if target.external_id is not None:
            return self._unread
        return [row for row in self._unread if name_of(row) == target.name]


def _is_in(row: Row, folder: str | None) -> bool:
    parent = row.get("parent")
    return folder is not None and parent is not None and parent._GetMoId() == folder


def _ambiguous(target: Resource, paths: Sequence[str]) -> Diagnostic:
    return error(
        "PRV5324",
        f"{len(paths)} machines are called {target.name!r}",
        detail=f"Their paths: {', '.join(paths)}.",
        hint="Write the whole path into metadata.externalName.",
        address=str(target.address),
        path=("externalName",),
    )


def untold(target: Resource, paths: Sequence[str]) -> Diagnostic:
    """The diagnostic (PRV5329) for one that may be any of the machines at ``paths``."""
    return error(
        "PRV5329",
        f"{target.address}: the endpoint does not tell which machine it is",
        detail=f"It tells nothing of the configuration of {listed(paths)}, which may be it: the "
        "user may not read it, or the machine is out of the endpoint's reach just now.",
        hint="Give the user System.Read on the machine, bring its host and its datastore back, or "
        "remove it from the inventory.",
        address=str(target.address),
    )


def left_out(paths: Sequence[str]) -> Diagnostic:
    """The warning (PRV5329) that the machines at ``paths`` are not told of in a discovery."""
    return warning(
        "PRV5329",
        f"left out are machines that the endpoint does not tell about: {listed(paths)}",
        detail="The user may not read their configuration, or they are out of the endpoint's reach "
        "just now.",
        hint="Give the user System.Read on them, or bring their hosts and datastores back.",
    )


def of_extension(target: Resource, path: str, row: Row) -> Diagnostic:
    """The diagnostic (PRV5347) for one that would be the machine at ``path``."""
    return error(
        "PRV5347",
        f"{target.address}: {path} is a machine of an extension",
        detail=f"{row.get(properties.EXTENSION)} has made it and looks after it: it would change "
        "or remove it again as it needs.",
        hint="Take it out of the manifests, and give a machine of your own another name.",
        address=str(target.address),
    )


def is_of_extension(row: Row) -> bool:
    """Whether an extension of the vCenter looks after a machine."""
    return row.get(properties.EXTENSION) is not None


def is_template(row: Row) -> bool:
    """Whether a machine is an image, and none that runs."""
    return bool(row.get(properties.TEMPLATE, False))


def is_unread(row: Row) -> bool:
    """Whether nothing is told of a machine's configuration: the user may not read it, or it is out
    of the endpoint's reach (vSphere Web Services API, VirtualMachine.config).
    """
    return row.get(properties.UUID) is None
