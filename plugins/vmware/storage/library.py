"""Items of a vCenter's content libraries: found by name, deployed as machines, or where their file
is. Called by the Image handler. Source: vSphere Automation REST API, from version 7.0 Update 2
(content/library, vcenter/ovf/library-item, vcenter/vm-template/library-items).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.machine.home import Home
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.site import Site, listed
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.storage.image import ISO
from provisioner_plugins.vmware.storage.store import Store
from provisioner_plugins.vmware.wire.rest import Rest

_LIBRARY, _ITEM = "/content/library", "/content/library/item"
_OVF, _MACHINE_TEMPLATE = "ovf", "vm-template"
_TYPES = {ISO: (ISO,), "template": (_OVF, _MACHINE_TEMPLATE)}
"""Which items can be an image of a format."""
_VOLUMES = "/vmfs/volumes/"


class Item(NamedTuple):
    """An item; ``type`` is a word of the API's."""

    id: str
    name: str
    type: str


class Libraries:
    """The content libraries of an endpoint."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def _rest(self) -> Rest:
        return self._site.rest

    def item(self, resource: Resource) -> Item:
        """The item that an Image names.

        Raises Terminal: PRV5323 where there is none, PRV5324 where several libraries have the name,
        PRV5353 where it is of another sort.
        """
        said = resource.spec["source"]["libraryItem"]
        library = self._library(resource, str(said["library"]))
        what, name = f"look for item {said['item']}", str(said["item"])
        asked = {"library_id": library, "name": name}
        found = self._rest.post(what, _ITEM, asked, {"action": "find"}, reads=True)
        if not found:
            every = self._rest.get(what, _ITEM, {"library_id": library})
            names = [str(self._item(what, id_)["name"]) for id_ in every]
            raise Terminal(_missing(resource, "item", name, names, f" in {said['library']}"))
        told = self._item(what, str(found[0]))
        item = Item(str(found[0]), name, str(told.get("type", "")))
        if item.type not in _TYPES[str(resource.spec["format"])]:
            raise Terminal(_another_sort(resource, item))
        return item

    def _item(self, what: str, item: str) -> Any:
        return self._rest.get(what, f"{_ITEM}/{item}")

    def _library(self, resource: Resource, name: str) -> str:
        what = f"look for library {name}"
        asked = {"name": name}
        near = self._rest.post(what, _LIBRARY, asked, {"action": "find"}, reads=True)
        # What is found may differ in upper and lower case.
        found = [item for item in near if self._name(what, item) == name]
        if len(found) == 1:
            return str(found[0])
        if found:
            raise Terminal(_several(resource, name, len(found)))
        names = [self._name(what, item) for item in self._rest.get(what, _LIBRARY)]
        raise Terminal(_missing(resource, "library", name, names, ""))

    def _name(self, what: str, library: str) -> str:
        return str(self._rest.get(what, f"{_LIBRARY}/{library}")["name"])

    # --- what becomes of it ---

    def deploy(
        self, resource: Resource, item: Item, store: Store, name: str, home: Home, _: Mark
    ) -> tuple[Any, Sequence[str]]:
        """A machine that is a copy of an item, and no remarks. The call lasts until it is whole,
        and there is no room for a mark in it.
        """
        what = f"deploy image {resource.name}"
        folder, pool = home.folder._GetMoId(), home.pool._GetMoId()
        host = {} if home.host is None else {"host": home.host._GetMoId()}
        if item.type == _MACHINE_TEMPLATE:
            body: dict[str, Any] = {
                "name": name,
                "placement": {"folder": folder, "resource_pool": pool, **host},
                "vm_home_storage": {"datastore": store.moid},
                "disk_storage": {"datastore": store.moid},
                "powered_on": False,
            }
            path = f"/vcenter/vm-template/library-items/{item.id}"
            moid = str(self._rest.post(what, path, body, {"action": "deploy"}))
            return self._site.client.managed(vim.VirtualMachine, moid), ()
        body = {
            "deployment_spec": {
                "name": name,
                "accept_all_EULA": True,
                "storage_provisioning": "thin",
                "default_datastore_id": store.moid,
            },
            "target": {
                "resource_pool_id": pool,
                "folder_id": folder,
                **{f"{key}_id": value for key, value in host.items()},
            },
        }
        path = f"/vcenter/ovf/library-item/{item.id}"
        told = self._rest.post(what, path, body, {"action": "deploy"})
        made = told.get("resource_id") or {}
        if not told.get("succeeded") or made.get("type") != "VirtualMachine":
            raise Terminal(_not_deployed(resource, told))
        return self._site.client.managed(vim.VirtualMachine, str(made["id"])), ()

    def file(self, resource: Resource, item: Item) -> FileId:
        """Where the CD image of an item is.

        Raises Terminal (PRV5323) where it is nowhere: on no datastore, or not fetched yet.
        """
        what = f"look where item {item.name} is"
        stored = self._rest.get(what, f"{_ITEM}/{item.id}/storage")
        for part in stored:
            datastore = (part.get("storage_backing") or {}).get("datastore_id")
            if datastore is not None and str(part.get("name", "")).lower().endswith(".iso"):
                for uri in part.get("storage_uris", ()):
                    path = _path_on_datastore(str(uri))
                    if path is not None and part.get("cached", True):
                        return FileId(str(datastore), path)
        raise Terminal(_no_file(resource, item))


def _path_on_datastore(uri: str) -> str | None:
    """Of ``ds:///vmfs/volumes/5f0c-.../contentlib-.../debian.iso?serverId=...``."""
    path = unquote(urlsplit(uri).path)
    _, found, rest = path.partition(_VOLUMES)
    return rest.partition("/")[2] or None if found else None


def _missing(
    resource: Resource, sort: str, name: str, names: Sequence[str], where: str
) -> Diagnostic:
    near = nearest(name, names)
    return error(
        "PRV5323",
        f"there is no {sort} {quoted(name)}{where}",
        detail=f"There are: {listed(sorted(names))}." if names else "There is none at all.",
        hint=f"Did you mean {' or '.join(near)}?"
        if near
        else f"Correct source.libraryItem.{sort} in the Image.",
        path=("source", "libraryItem", sort),
        address=str(resource.address),
    )


def _several(resource: Resource, name: str, count: int) -> Diagnostic:
    return error(
        "PRV5324",
        f"{count} libraries are called {quoted(name)}",
        hint="Rename all but one of them: nothing else tells them apart.",
        path=("source", "libraryItem", "library"),
        address=str(resource.address),
    )


def _another_sort(resource: Resource, item: Item) -> Diagnostic:
    form = next((form for form, types in _TYPES.items() if item.type in types), None)
    return error(
        "PRV5353",
        f"the item {quoted(item.name)} is not of the format {resource.spec['format']}",
        detail=f"It is of the type {item.type or 'file'}.",
        hint=f"Write format: {form}."
        if form
        else "Only OVF and VM templates and ISO files can be images.",
        path=("format",),
        address=str(resource.address),
    )


def _not_deployed(resource: Resource, told: Any) -> Diagnostic:
    texts = []
    for found in (told.get("error") or {}).get("errors") or ():
        messages = [found.get("message"), *((found.get("error") or {}).get("messages") or ())]
        messages += [issue.get("message") for issue in found.get("issues") or ()]
        texts += [str(item.get("default_message", "")) for item in messages if item]
    said = "; ".join(text.strip().rstrip(".") for text in texts if text.strip())
    return error(
        "PRV5357",
        f"the endpoint cannot import image {resource.name}",
        detail=f"It says: {said or 'nothing more'}.",
        hint="Correct the item in its library, or choose another one.",
        path=("source", "libraryItem"),
        address=str(resource.address),
    )


def _no_file(resource: Resource, item: Item) -> Diagnostic:
    return error(
        "PRV5323",
        f"the file of item {quoted(item.name)} is on no datastore",
        detail="Its library keeps it elsewhere, or has not fetched it from the one that it "
        "subscribes to.",
        hint="Synchronise the item, or keep the library on a datastore.",
        path=("source", "libraryItem", "item"),
        address=str(resource.address),
    )
