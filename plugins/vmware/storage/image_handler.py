"""Images on datastores: CD images and disks, uploaded once and checked.

What is uploaded has another name until it is whole; beside it stands a file whose name tells its
SHA-256. A raw image or a VMDK becomes the data of a disk with a descriptor of ours. An image with
``source.volume`` is somebody else's file: it is checked and used, never written to and never
removed. An appliance becomes a template, and so does what :mod:`templates` finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from posixpath import basename
from types import MappingProxyType
from typing import Any

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Retryable,
    Terminal,
)
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.ownership import gone, require_time
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage import listing, templates
from provisioner_plugins.vmware.storage.appliance import Appliance, appliance
from provisioner_plugins.vmware.storage.file import (
    FileId,
    borrowed_path,
    file_of,
    flat_path,
    is_borrowed,
    is_own,
    own_path,
    partial_path,
)
from provisioner_plugins.vmware.storage.image import (
    OVA,
    TEMPLATE,
    is_library_item,
    is_made_template,
    is_template,
)
from provisioner_plugins.vmware.storage.importing import Import
from provisioner_plugins.vmware.storage.library import Item, Libraries
from provisioner_plugins.vmware.storage.listing import Found, marker
from provisioner_plugins.vmware.storage.local_file import (
    LocalFile,
    local_file,
    metered,
    wrong_checksum,
)
from provisioner_plugins.vmware.storage.made_templates import MadeTemplates
from provisioner_plugins.vmware.storage.making import (
    Turns,
    outcome,
    owner_of,
    present,
    require_ours,
)
from provisioner_plugins.vmware.storage.places import Located, Places
from provisioner_plugins.vmware.storage.sparse import descriptor
from provisioner_plugins.vmware.storage.store import Store, Stores
from provisioner_plugins.vmware.storage.surveying import Unread, survey
from provisioner_plugins.vmware.storage.templates import (
    CHECKSUM,
    FORMAT,
    Templates,
    is_in_inventory,
)
from provisioner_plugins.vmware.storage.users import require_unused, users_of
from provisioner_plugins.vmware.wire.errors import LOST
from provisioner_plugins.vmware.wire.sweep import Wanted
from provisioner_plugins.vmware.wire.transfer import Place, Transfer


class ImageHandler:
    """Handler of the kind Image."""

    kind = "Image"
    reads: Wanted = MappingProxyType({**listing.READS, **templates.READS})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._transfer = Transfer(site.client)
        self._made = MadeTemplates(site)
        self._libraries = Libraries(site)
        self._turns = Turns()

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        files = [target for target in targets if not is_in_inventory(target)]
        others = [target for target in targets if is_in_inventory(target)]
        places = Places(self._site, inventory, files, checksums=True)
        answers = {target.address: _observed(places, target) for target in files}
        if others:
            answers |= Templates(self._site, inventory).observe(places, others)
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Every CD image, the disks that were uploaded as images, and every template."""
        for item in survey(self._site, inventory):
            if isinstance(item, Unread):
                yield item.told(self.kind)
                continue
            if item.is_disk:
                continue
            file = item.found.file
            spec = {
                **({} if item.notes else {"pool": file.datastore}),
                "source": {"volume": file.path},
                "format": item.form,
                **_checksum(item.found),
            }
            observed = present(item.found, spec, item.owner, {})
            yield Discovered(self.kind, file.path, observed, item.notes)
        yield from Templates(self._site, inventory).discover(self.kind)

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a template has to be there.
        Whole files are read only where there is a checksum to compare.
        """
        resource, spec = undertaking.resource, undertaking.resource.spec
        if not undertaking.creates:
            return
        if is_library_item(resource):
            item = self._libraries.item(resource)
            if not is_template(resource) and _is_made(resource, "StoragePool", spec["pool"]):
                self._in_pool(resource, item)
        elif "template" in spec["source"]:
            Templates(self._site, inventory).choose(resource)
        if "file" not in spec["source"]:
            return
        file = self._source(resource)
        if thorough and ("checksum" in spec or spec["format"] == OVA):
            # What an appliance's own manifest says is compared on the way.
            found = self._sum(resource, file, deadline)
            if spec.get("checksum", f"sha256:{found}") != f"sha256:{found}":
                yield wrong_checksum(
                    resource.name, f"the file {file.path}", found, str(spec["checksum"])
                )

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        if is_made_template(resource):
            return self._make_template(resource, deadline)
        if is_template(resource):
            return templates.read(self._site).choose(resource)
        if is_library_item(resource):
            store, path = self._in_pool(resource, self._libraries.item(resource))
            found = store.find(path, deadline)
            if found is None:
                raise Terminal(_no_volume(resource, store.text(path)))
            return outcome(found, {})
        stores = Stores(self._site).of_pool(resource)
        borrowed = borrowed_path(resource.spec)
        path = borrowed or own_path(resource)
        with self._turns.at(FileId(stores[0].moid, path)):
            for store in stores:
                found = store.find(path, deadline, checksums=True)
                if found is not None:
                    if borrowed is not None:
                        self._verify(resource, store, found, deadline)
                    return outcome(found, {})
            if borrowed is not None:
                raise Terminal(_no_volume(resource, stores[0].text(path)))
            self._upload(resource, stores[0], path, deadline)
            made = stores[0].find(path, deadline, checksums=True)
        if made is None:
            raise Terminal(gone(resource))
        return outcome(made, {})

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Nothing of an image can be changed on the endpoint: it is only looked for."""
        del changes, restart
        require_time(resource, deadline)
        if is_made_template(resource):
            self._made.require(resource, observed.external_id)
            return Outcome(observed.external_id, observed.outputs)
        if is_template(resource):
            return templates.read(self._site).choose(resource)
        file = FileId.parse(observed.external_id)
        require_ours(resource, file)
        self._require(resource, file, deadline)
        return Outcome(observed.external_id, observed.outputs)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Nothing can be written on a file: that it is recorded makes it ours. Its checksum is
        verified.
        """
        require_time(resource, deadline)
        if is_template(resource):
            return Outcome(observed.external_id, observed.outputs)
        file = FileId.parse(observed.external_id)
        store, found = self._require(resource, file, deadline)
        self._verify(resource, store, found, deadline)
        return Outcome(observed.external_id, observed.outputs)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the file and what tells its checksum; refused while a machine has it. One of
        somebody else only loses what tells its checksum.
        """
        require_time(resource, deadline)
        if is_made_template(resource):
            self._made.delete(resource, deadline)
        if is_template(resource):
            return
        file = file_of(resource)
        store = None if file is None else Stores(self._site).of(file.datastore)
        if file is None or store is None:
            return
        found = store.find(file.path, deadline, checksums=True)
        if not is_borrowed(resource.spec):
            require_ours(resource, file)
            if found is not None:
                require_unused(resource, users_of(self._site, file))
                _remove(store, file.path, deadline)
            self._clear(store, file.path, deadline)
        if found is not None and found.checksum is not None:
            digits = found.checksum.removeprefix("sha256:")
            store.delete_file(marker(file.path, digits), deadline)

    # --- the parts of writing ---

    def _require(self, resource: Resource, file: FileId, deadline: Deadline) -> tuple[Store, Found]:
        store = Stores(self._site).of(file.datastore)
        found = None if store is None else store.find(file.path, deadline, checksums=True)
        if store is None or found is None:
            raise Terminal(gone(resource))
        return store, found

    def _make_template(self, resource: Resource, deadline: Deadline) -> Outcome:
        store = Stores(self._site).of_pool(resource)[0]
        with self._turns.at(FileId(store.moid, str(resource.uid))):
            if (made := self._made.find(resource, deadline)) is not None:
                return made
            if is_library_item(resource):
                item = self._libraries.item(resource)
                deploy = partial(self._libraries.deploy, resource, item, store)
                return self._made.make(resource, {FORMAT: TEMPLATE}, deploy, deadline)
            source = appliance(self._path(resource))
            found = self._sum(resource, source, deadline)
            self._compare(resource, found, f"the file {source.path}")
            attempt = Import(self._site, resource, source, store, deadline)
            details = {FORMAT: OVA, CHECKSUM: f"sha256:{found}"}
            return self._made.make(resource, details, attempt.run, deadline)

    def _in_pool(self, resource: Resource, item: Item) -> tuple[Store, str]:
        """Where the CD image of an item is; raises Terminal (PRV5323) unless it is in the pool that
        the manifest names.
        """
        file = self._libraries.file(resource, item)
        stores = {store.moid: store for store in Stores(self._site).of_pool(resource)}
        if file.datastore not in stores:
            other = Stores(self._site).of(file.datastore)
            raise Terminal(_elsewhere(resource, item, "" if other is None else other.name))
        return stores[file.datastore], file.path

    def _upload(self, resource: Resource, store: Store, path: str, deadline: Deadline) -> None:
        source = local_file(self._path(resource), str(resource.spec["format"]))
        found = self._sum(resource, source, deadline)
        self._compare(resource, found, f"the file {source.path}")
        store.make_folder(path)
        self._clear(store, path, deadline)
        partial = partial_path(path)
        try:
            if path.endswith(".iso"):
                self._send(resource, store, partial, source, deadline)
            else:
                flat = flat_path(partial)
                self._send(resource, store, flat, source, deadline)
                self._write(store, partial, descriptor(source.capacity, basename(flat)))
            self._write(store, marker(path, found), f"sha256:{found}\n".encode())
        except ProviderError:
            self._clear_quietly(store, path, deadline)
            raise
        if path.endswith(".iso"):
            store.move_file(partial, path, deadline)
        else:
            store.move_disk(partial, path, deadline)

    def _send(
        self, resource: Resource, store: Store, path: str, source: LocalFile, deadline: Deadline
    ) -> None:
        def report(done: int, total: int) -> None:
            self._site.client.context.progress(resource.address, "upload", done, total)

        place, what = _place(store, path), f"upload image {resource.name}"
        self._transfer.put(what, place, source.capacity, source.content(report, deadline))
        arrived = self._transfer.size(what, place)
        if arrived != source.capacity:
            raise Retryable(_not_arrived(resource, store.text(path), arrived, source.capacity))

    def _write(self, store: Store, path: str, content: bytes) -> None:
        what = f"write {store.text(path)}"
        self._transfer.put(what, _place(store, path), len(content), (content,))

    def _clear(self, store: Store, path: str, deadline: Deadline) -> None:
        """What an attempt that did not end has left."""
        partial = partial_path(path)
        store.delete_file(partial, deadline)
        if not path.endswith(".iso"):
            store.delete_file(flat_path(partial), deadline)

    def _clear_quietly(self, store: Store, path: str, deadline: Deadline) -> None:
        try:
            self._clear(store, path, deadline)
        except ProviderError:
            return  # it does not bear its whole name, and goes with the next attempt

    def _path(self, resource: Resource) -> Path:
        return self._site.client.context.root / str(resource.spec["source"]["file"])

    def _source(self, resource: Resource) -> LocalFile | Appliance:
        path, form = self._path(resource), str(resource.spec["format"])
        return appliance(path) if form == OVA else local_file(path, form)

    def _sum(self, resource: Resource, file: LocalFile | Appliance, deadline: Deadline) -> str:
        def report(done: int, total: int) -> None:
            progress = self._site.client.context.progress
            progress(resource.address, "checking its file", done, total)

        return file.checksum(report, deadline)

    def _verify(self, resource: Resource, store: Store, found: Found, deadline: Deadline) -> None:
        """Check a file that is there already: its format, its checksum if the author gave one."""
        path, wanted = found.file.path, str(resource.spec["format"])
        if path.endswith(".iso") != (wanted == "iso"):
            raise Terminal(_wrong_format(resource, found))
        if "checksum" not in resource.spec or found.checksum == resource.spec["checksum"]:
            return
        data = path if wanted == "iso" else flat_path(path)
        what, place = f"verify {store.text(data)}", _place(store, data)
        total = self._transfer.size(what, place) or 0

        def report(done: int, total: int) -> None:
            self._site.client.context.progress(resource.address, "verify", done, total)

        digest = hashlib.sha256()
        for chunk in metered(self._transfer.get(what, place), total, report, deadline):
            digest.update(chunk)
        self._compare(resource, digest.hexdigest(), store.text(path))
        self._write(store, marker(path, digest.hexdigest()), b"")

    def _compare(self, resource: Resource, found: str, what: str) -> None:
        wanted = resource.spec.get("checksum", f"sha256:{found}")
        if wanted != f"sha256:{found}":
            raise Terminal(wrong_checksum(resource.name, what, found, wanted))


def _place(store: Store, path: str) -> Place:
    return Place(store.datacenter_path, store.name, path)


def _remove(store: Store, path: str, deadline: Deadline) -> None:
    if path.endswith(".iso"):
        store.delete_file(path, deadline)
    else:
        store.delete_disk(path, deadline)


def _observed(places: Places, target: Resource) -> Observation:
    place = places.locate(target)
    if not isinstance(place, Located):
        return place
    found, path = place.found, place.found.file.path
    spec: dict[str, Any] = {"pool": places.pool_name(target, found.file.datastore)}
    if not is_library_item(target) and not (place.ours and is_own(target, path)):
        spec["source"] = {"volume": path}
    spec["format"] = _form(target, path)
    spec |= _checksum(found)
    return present(found, spec, owner_of(target, place), {})


def _form(target: Resource, path: str) -> str:
    """Of an uploaded image the name tells the format; a disk of somebody else is what the author
    takes it for.
    """
    if path.endswith(".iso"):
        return "iso"
    if path.endswith(".raw.vmdk"):
        return "raw"
    return "raw" if target.spec.get("format") == "raw" else "vmdk"


def _checksum(found: Found) -> dict[str, str]:
    return {} if found.checksum is None else {"checksum": found.checksum}


def _is_made(resource: Resource, kind: str, name: str) -> bool:
    other = resource.related.get(Address(kind, name))
    return other is not None and other.external_id is not None


def _elsewhere(resource: Resource, item: Item, datastore: str) -> Diagnostic:
    return error(
        "PRV5323",
        f"the item {item.name} is not in StoragePool/{resource.spec['pool']}",
        detail=f"Its file is on the datastore {datastore or 'of another datacenter'}.",
        hint="Name the pool that is this datastore.",
        path=("pool",),
        address=str(resource.address),
    )


def _no_volume(resource: Resource, text: str) -> Diagnostic:
    return error(
        "PRV5323",
        f"there is no disk or CD image {text}",
        hint="Correct source.volume: it is the path on the datastore, such as iso/debian-12.iso.",
        path=("source", "volume"),
        address=str(resource.address),
    )


def _wrong_format(resource: Resource, found: Found) -> Diagnostic:
    return error(
        "PRV5353",
        f"{found.text} is not of the format {resource.spec['format']}",
        hint="Correct format in the Image.",
        path=("format",),
        address=str(resource.address),
    )


def _not_arrived(resource: Resource, text: str, arrived: int | None, sent: int) -> Diagnostic:
    return error(
        LOST.code,
        f"upload image {resource.name}: not all of it arrived",
        detail=f"{text} has {arrived or 0} bytes; {sent} were sent.",
        hint="It is sent again at the next attempt.",
        address=str(resource.address),
    )
