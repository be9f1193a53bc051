"""Files on datastores: their names, and what a search tells of them."""

from __future__ import annotations

from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.storage.file import (
    FileId,
    file_of,
    flat_path,
    maker,
    own_path,
    partial_path,
)

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.storage.listing import EVERYWHERE, Found, folder_for, read
from provisioner_plugins.vmware.storage.surveying import surveyed

UID = UUID("1f2e3d4c-0000-5000-8000-000000000000")
STAMP = Stamp("lineage", "Disk/web", 0)


def resource(kind: str, **spec: object) -> Resource:
    return Resource(Address(kind, "web"), "web", UID, STAMP, spec)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (FileId("datastore-1", "web/web.vmdk"), "datastore-1/web/web.vmdk"),
        # On an ESXi host the id of an NFS datastore is its server and folder.
        (FileId("nas:/export/a", "web.vmdk"), "nas:%2Fexport%2Fa/web.vmdk"),
    ],
)
def test_an_external_id_is_read_as_it_was_written(file: FileId, text: str) -> None:
    assert text == str(file)
    assert file == FileId.parse(text)


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (resource("Disk"), "provisioner/web.1f2e3d4c.vmdk"),
        (resource("Image", format="iso"), "provisioner/web.1f2e3d4c.iso"),
        (resource("Image", format="raw"), "provisioner/web.1f2e3d4c.raw.vmdk"),
        (resource("Image", format="vmdk"), "provisioner/web.1f2e3d4c.vmdk"),
    ],
)
def test_a_file_is_called_by_identity_and_format(made: Resource, path: str) -> None:
    assert path == own_path(made)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("provisioner/web.1f2e3d4c.vmdk", "Disk/web"),
        ("provisioner/web.1f2e3d4c.raw.vmdk", "Image/web"),
        ("provisioner/web.1f2e3d4c.iso", "Image/web"),
        ("provisioner/web.vmdk", None),
        ("web/web.1f2e3d4c.vmdk", None),
    ],
)
def test_the_name_of_a_file_tells_who_made_it(path: str, address: str | None) -> None:
    made = maker(path)
    assert address == (None if made is None else made.address)


@pytest.mark.parametrize("generation", [0, 3])
def test_a_stack_knows_its_own_former_files(generation: int) -> None:
    address = Address("Disk", "web")
    own = identity(UID, address, generation)
    path = f"provisioner/web.{own.hex[:8]}.vmdk"
    assert maker(path, lineage=str(UID)) is None
    assert maker(path, lineage=str(own)) is not None


@pytest.mark.parametrize(
    ("path", "checksum", "is_disk", "owner", "has_notes"),
    [
        ("web/web.vmdk", None, True, None, False),
        ("iso/debian.iso", None, False, None, False),
        ("provisioner/g.1f2e3d4c.vmdk", None, True, "Disk/g", False),
        ("provisioner/g.1f2e3d4c.vmdk", "sha256:aa", False, "Image/g", False),
        ("fcd/0123456789abcdef.vmdk", None, True, None, True),
        ("contentlib-1f2e/3d4c/debian.iso", None, False, None, True),
    ],
)
def test_a_file_is_taken_for_what_its_name_tells(
    path: str, checksum: str | None, is_disk: bool, owner: str | None, has_notes: bool
) -> None:
    found = surveyed(Found(FileId("datastore-1", path), "one", 1, 1, checksum))
    told = None if found.owner is None else found.owner.address
    assert (is_disk, owner, has_notes) == (found.is_disk, told, bool(found.notes))


def test_what_is_being_made_has_another_name() -> None:
    assert "provisioner/web.1f2e3d4c.partial.iso" == partial_path("provisioner/web.1f2e3d4c.iso")


def test_the_data_of_a_disk_lies_beside_its_descriptor() -> None:
    assert "provisioner/web.1f2e3d4c-flat.vmdk" == flat_path("provisioner/web.1f2e3d4c.vmdk")


def test_the_file_of_an_image_that_is_there_already_is_where_the_author_says() -> None:
    pool = Resource(
        Address("StoragePool", "pool"), "pool", UID, STAMP, {}, external_id="datastore-1"
    )
    image = Resource(
        Address("Image", "web"),
        "web",
        UID,
        STAMP,
        {"pool": "pool", "source": {"volume": "iso/a.iso"}, "format": "iso"},
        related={pool.address: pool},
    )
    assert FileId("datastore-1", "iso/a.iso") == file_of(image)


def test_only_the_folder_is_searched_unless_a_file_lies_elsewhere() -> None:
    assert "provisioner" == folder_for(["provisioner/a.vmdk", "provisioner/b.iso"])
    assert folder_for(["provisioner/a.vmdk", "web/web.vmdk"]) == EVERYWHERE


def test_results_of_a_search_are_files_with_sizes_and_checksums() -> None:
    browser = vim.host.DatastoreBrowser
    results = [
        browser.SearchResults(
            folderPath="[images] provisioner/",
            file=[
                browser.VmDiskInfo(path="a.vmdk", fileSize=500, capacityKb=4096),
                browser.IsoImageInfo(path="b.iso", fileSize=700),
            ],
        ),
        browser.SearchResults(
            folderPath="[images] provisioner",
            file=[browser.FileInfo(path="b.iso.sha256-0123", fileSize=1)],
        ),
    ]
    found = read("datastore-1", "images", results)
    assert {
        "provisioner/a.vmdk": (4 * 2**20, None, "[images] provisioner/a.vmdk"),
        "provisioner/b.iso": (None, "sha256:0123", "[images] provisioner/b.iso"),
    } == {path: (item.capacity, item.checksum, item.text) for path, item in found.items()}
