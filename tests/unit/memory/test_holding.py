"""What objects of a memory endpoint refer to."""

from __future__ import annotations

from provisioner.core.address import Address
from provisioner.manifest.catalog import SchemaCatalog
from provisioner_plugins.memory.holding import REFERENCES, places


def test_every_reference_of_the_schemas_is_known() -> None:
    """Or discovery would not call it by an id, and a rename would leave it behind."""
    catalog = SchemaCatalog.installed()
    assert {
        (kind, field.path, field.kinds)
        for kind, info in catalog.kinds.items()
        if info.is_resource
        for field in info.references
        if catalog.endpoint_kind not in field.kinds
    } == {
        (kind, reference.path, (reference.kind,))
        for kind, found in REFERENCES.items()
        for reference in found
    }


def test_places_are_told_by_their_paths() -> None:
    spec = {
        "disks": {"root": {}},
        "cdroms": {"a": {"image": "setup"}, "b": {}},
        "nics": {"lan": {"network": "net"}},
        "cloudInit": {},
    }
    assert {
        ("disks", "root"): Address("Disk", "root"),
        ("cdroms", "a", "image"): Address("Image", "setup"),
        ("nics", "lan", "network"): Address("Network", "net"),
    } == {place.path: place.address for place in places("VirtualMachine", spec)}


def test_a_copy_refers_to_its_image_no_longer() -> None:
    spec = {"pool": "pool", "image": "debian"}
    assert [("pool",), ("image",)] == [place.path for place in places("Disk", spec)]
    assert [("pool",)] == [place.path for place in places("Disk", {**spec, "clone": "full"})]
