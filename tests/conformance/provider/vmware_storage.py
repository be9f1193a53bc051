"""Somebody else at the storage of a vSphere endpoint. The files of the simulator's datastores lie
on this machine, at the URL of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyVmomi import vim

from provisioner.core.values import Path as FieldPath
from tests.lab.appliances import ovf
from tests.lab.libraries import Libraries
from tests.lab.vcsim import Vcsim

if TYPE_CHECKING:
    from tests.conformance.provider.vmware_outside import Connected

POOL = "pool"
"""The datastore of the surroundings in which foreign disks and images are."""
LIBRARY, ITEMS = "images", ("web", "db")
"""A content library, and what is in it."""
_SMALL, _SECTOR = 4 * 2**20, 512


class Datastores:
    """Datastores of the simplest sort."""

    def add(self, there: Connected, name: str) -> str:
        path = Path(there.every(vim.Datastore)[0].summary.url).parent / f"foreign-{name}"
        made = [
            host.configManager.datastoreSystem.CreateLocalDatastore(name, str(path))
            for host in there.every(vim.HostSystem, there.datacenter)
        ]
        return str(made[0]._moId)

    def change(self, there: Connected, name: str) -> FieldPath:
        raise NotImplementedError

    def remove(self, there: Connected, name: str) -> None:
        for store in there.called(vim.Datastore, name):
            for mount in list(store.host):
                mount.key.configManager.datastoreSystem.RemoveDatastore(store)

    def picture(self, there: Connected, name: str) -> object:
        return [
            (item._moId, str(item.summary.url), str(item.host), str(item.customValue))
            for item in there.called(vim.Datastore, name)
        ] or None


class Disks:
    """VMDK files; a resource's own are called like it, with a dot and more."""

    ending = ".vmdk"

    def add(self, there: Connected, name: str) -> str:
        write_disk(_root(there) / f"{name}.vmdk", b"f", _SMALL)
        return self._id(there, name)

    def change(self, there: Connected, name: str) -> FieldPath:
        [file] = [file for file in _files(there, name) if not file.name.endswith("-flat.vmdk")]
        write_disk(file, b"f", _SMALL)
        return ("size",)

    def remove(self, there: Connected, name: str) -> None:
        for file in _files(there, name):
            file.unlink()

    def picture(self, there: Connected, name: str) -> object:
        return [
            (str(file), hashlib.sha256(file.read_bytes()).hexdigest())
            for file in _files(there, name)
        ] or None

    def _id(self, there: Connected, name: str) -> str:
        [store] = there.called(vim.Datastore, POOL)
        return f"{store._moId}/{name}{self.ending}"


class Images(Disks):
    """CD images."""

    ending = ".iso"

    def add(self, there: Connected, name: str) -> str:
        (_root(there) / f"{name}.iso").write_bytes(b"foreign")
        return self._id(there, name)


def fill_library(vcsim: Vcsim, there: Connected) -> None:
    """Make the content library."""
    libraries = Libraries(vcsim)
    made = libraries.library(LIBRARY, there.every(vim.Datastore)[0]._moId)
    for name in ITEMS:
        libraries.item(made, name, "ovf", {f"{name}.ovf": ovf()})


def write_disk(path: Path, letter: bytes, size: int = 2**20) -> None:
    """A disk full of one letter, as it lies on a datastore."""
    flat = path.with_name(f"{path.stem}-flat.vmdk")
    flat.write_bytes(letter * size)
    path.write_text(f'# Disk DescriptorFile\nRW {size // _SECTOR} VMFS "{flat.name}"\n')


def _root(there: Connected) -> Path:
    [store] = there.called(vim.Datastore, POOL)
    return Path(store.summary.url)


def _files(there: Connected, name: str) -> list[Path]:
    return sorted(_all_files(there, name))


def _all_files(there: Connected, name: str) -> Iterator[Path]:
    for store in there.every(vim.Datastore):
        for file in Path(store.summary.url).rglob("*"):
            stem = file.name.removesuffix(".iso").removesuffix(".vmdk").removesuffix("-flat")
            if file.is_file() and (stem == name or file.name.startswith(f"{name}.")):
                yield file
