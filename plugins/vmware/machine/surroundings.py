"""What a machine is plugged into, found for one call: networks, files of disks and images."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.machine import cards, drives
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FileId, Files, datastore_path
from provisioner_plugins.vmware.wire.sweep import Row


class Surroundings:
    """The surroundings of one machine."""

    def __init__(self, site: Site, resource: Resource) -> None:
        self._site = site
        self._resource = resource
        self._files = Files(resource.related)
        self.provider = site.flavour.name

    def network_id(self, card: str, network: str) -> str | None:
        """The managed object id of a network by the name that the manifest has for it."""
        return self._network(card, network).moid

    def backing(self, card: str, network: str) -> Any:
        """What a card is plugged into."""
        return cards.backing_of(self._site, self._network(card, network))

    def _network(self, card: str, network: str) -> Row:
        return self._site.referred(self._resource, "Network", ("nics", card, "network"), network)

    def disk(self, name: str, key: int) -> Any:
        """A device for a Disk, still without a place on a bus."""
        file = self._files.of("Disk", name)
        if file is None:
            raise Terminal(self._missing("Disk", name, ("disks", name)))
        datastore = self._datastore(file)
        resource = self._resource.related[Address("Disk", name)]
        size = resource.outputs.get("size") or resource.spec.get("size") or 0
        path = datastore_path(name_of(datastore), file.path)
        moref = self._site.client.managed(vim.Datastore, file.datastore)
        return drives.make_disk(path, moref, int(str(size)), key)

    def disk_name(self, file: FileId) -> str:
        """The Disk whose file it is."""
        return self._files.name("Disk", file)

    def image(self, drive: str, name: str | None) -> tuple[str | None, Any]:
        """Path and datastore of the image in a CD drive; both None for an empty one."""
        file = self.image_id(drive, name)
        if file is None:
            return None, None
        path = datastore_path(name_of(self._datastore(file)), file.path)
        return path, self._site.client.managed(vim.Datastore, file.datastore)

    def image_id(self, drive: str, name: str | None) -> FileId | None:
        """The file of the image in a CD drive; None for an empty one."""
        if name is None:
            return None
        file = self._files.of("Image", name)
        if file is None:
            raise Terminal(self._missing("Image", name, ("cdroms", drive, "image")))
        return file

    def _datastore(self, file: FileId) -> Row:
        for anew in (False, True):
            row = self._site.places(anew=anew).row(file.datastore)
            if row is not None:
                return row
        raise Terminal(
            error(
                "PRV5323",
                f"the datastore {file.datastore} is not on the endpoint",
                detail=f"{file.path} is on it.",
                hint="Plan again: it was removed since it was read.",
                address=str(self._resource.address),
            )
        )

    def _missing(self, kind: str, name: str, path: tuple[str, ...]) -> Any:
        return error(
            "PRV5323",
            f"{kind}/{name} is not on the endpoint",
            hint="Plan again: it was removed since it was read, or is still to be made.",
            path=path,
            address=str(self._resource.address),
        )
