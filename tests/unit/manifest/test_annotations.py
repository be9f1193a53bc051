"""What the engine is told about kinds."""

import re

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.fields import bundled, field_tree, walk
from tests.unit.manifest.stacks import catalog

VM = "VirtualMachine"


@pytest.mark.parametrize(
    ("kind", "path", "impact"),
    [
        (VM, ("cpu", "count"), "live"),
        (VM, ("cpu", "max"), "restart"),
        (VM, ("disks",), "live"),
        (VM, ("disks", "any"), "live"),
        (VM, ("disks", "any", "bus"), "restart"),
        (VM, ("nics", "a", "mac"), "restart"),
        (VM, ("labels", "tier"), "live"),
        (VM, ("tenant",), "live"),
        (VM, ("native", "kvm", "domain"), "restart"),
        (VM, ("placement", "host"), "replace"),
        (VM, ("nothing", "of", "this"), "restart"),
        ("Disk", ("size",), "live"),
        ("Disk", ("pool",), "data-loss"),
        ("Network", ("dhcp", "reservations", "52:54:00:00:00:01", "address"), "live"),
    ],
)
def test_impacts(kind, path, impact):
    assert Impact(impact) is catalog().kind(kind).impact_of(path)


@pytest.mark.parametrize(
    ("kind", "path", "default"),
    [
        (VM, ("shutdownTimeout",), 60_000),
        (VM, ("firmware", "type"), "bios"),
        (VM, ("nics", "any", "link"), "up"),
        (VM, ("disks", "any", "bus"), None),
        (VM, ("cpu", "max"), None),
        (VM, ("labels", "x"), None),
        (VM, ("no", "such"), None),
        ("Network", ("dhcp", "leaseTime"), 3_600_000),
        ("Disk", ("retention",), "keep"),
    ],
)
def test_defaults_are_canonical(kind, path, default):
    assert default == catalog().kind(kind).default_of(path)


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        (("disks",), True),
        (("disks", "any"), False),
        (("labels",), True),
        (("cpu",), False),
        (("cloudInit",), False),
        (("cloudInit", "metaData"), True),
        (("cloudInit", "userData"), False),
        (("native",), True),
        (("native", "kvm"), True),
        (("no", "such"), False),
    ],
)
def test_what_an_author_owns_whole(path, whole):
    assert whole is catalog().kind(VM).owned_whole(path)


def test_secrecy_and_write_only_are_inherited():
    machine = catalog().kind(VM)
    assert machine.is_sensitive(("cloudInit", "userData"))
    assert machine.is_sensitive(("cloudInit", "userData", "secretRef"))
    assert not machine.is_sensitive(("cloudInit", "metaData"))
    assert machine.is_write_only(("cloudInit", "metaData", "x"))
    assert not machine.is_write_only(("disks", "any", "bus"))


def test_hosts_retention_and_keeping():
    kinds = catalog()
    assert ("placement", "host") == kinds.kind(VM).host_field
    assert ("host",) == kinds.kind("Network").host_field
    assert kinds.kind("Disk").host_field is None
    assert ("pool",) == kinds.kind("Disk").host_from
    assert [("image",)] == [field.path for field in kinds.kind("Disk").references if field.keeps]
    assert "retention" == kinds.kind("Disk").retention_field
    assert kinds.kind(VM).retention_field is None
    assert {("source", name) for name in ("volume", "template")} == set(
        kinds.kind("Image").borrowed_fields
    )
    assert () == kinds.kind("Disk").borrowed_fields
    assert Impact.DATA_LOSS is kinds.kind("Disk").impact_on_delete
    assert {"uuid", "id", "address", "addresses", "mac"} == set(kinds.kind(VM).outputs)


def test_references_name_elements_by_a_star():
    paths = {reference.path for reference in catalog().kind(VM).references}
    assert {
        ("placement", "host"),
        *(
            ("placement", name)
            for name in ("cluster", "clusterHost", "resourcePool", "folder", "storagePool")
        ),
        ("clone", "image"),
        ("disks", "*"),
        ("nics", "*", "network"),
        ("cdroms", "*", "image"),
        ("cloudInit", "pool"),
    } == paths


def test_what_a_spec_refers_to():
    fields = {field.path: field for field in catalog().kind(VM).references}
    spec = {
        "disks": {"a": {}, "b": {}},
        "cdroms": {"setup": {"image": "iso"}, "empty": {}},
        "placement": {"host": "here"},
    }
    disks, images = fields["disks", "*"], fields["cdroms", "*", "image"]
    assert [Address("Disk", "a"), Address("Disk", "b")] == list(disks.targets(spec))
    assert [Address("Image", "iso")] == list(images.targets(spec))
    assert [] == list(fields["nics", "*", "network"].targets(spec))
    assert {True} == {disks.exclusive}
    assert {False} == {images.exclusive}


@pytest.mark.parametrize(
    ("path", "output", "decides"),
    [
        (("nics", "lan", "address"), "addresses", True),
        (("nics", "lan"), "address", True),
        (("nics",), "address", True),
        (("nics", "lan", "link"), "address", False),
        (("nics", "lan", "mac"), "mac.lan", True),
        (("nics", "lan"), "mac.lan", True),
        (("nics", "wan"), "mac.lan", False),
        (("nics", "wan", "mac"), "mac.lan", False),
        (("memory", "size"), "address", False),
        (("description",), "uuid", False),
    ],
)
def test_what_decides_an_output(path, output, decides):
    assert decides is catalog().kind(VM).decides(path, output)


def test_kinds_of_their_own_sort():
    assert ("Stack", "Host") == (catalog().stack_kind, catalog().endpoint_kind)


def test_the_digest_follows_the_schemas():
    schema = {"title": "A", "properties": {"spec": {"type": "object"}}}
    other = {"title": "A", "properties": {"spec": {"type": "object", "x-impact": "none"}}}
    digests = {SchemaCatalog.of({"a.v1.json": one}).digest for one in (schema, other, dict(schema))}
    assert 2 == len(digests)
    assert 64 == len(catalog().digest)


def test_keywords_beside_a_reference_win():
    definitions = {"$defs": {"size": {"type": "string", "x-unit": "bytes", "x-impact": "live"}}}
    schema = {
        "properties": {"a": {"$ref": "definitions.v1.json#/$defs/size", "x-impact": "replace"}}
    }
    field = field_tree(bundled(schema, definitions)).children["a"]
    assert (Impact.REPLACE, "bytes") == (field.impact, field.unit)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "is not there"),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/x"}},
                "$defs": {"x": {"properties": {"b": {"$ref": "#/$defs/x"}}}},
            },
            "itself",
        ),
    ],
)
def test_schemas_that_cannot_be_walked(schema, reason):
    with pytest.raises(ValueError, match=reason):
        field_tree(schema)


def test_every_field_of_every_kind_can_be_asked():
    for info in catalog().kinds.values():
        for path, _ in walk(info.canonical):
            assert info.impact_of(path) in Impact
            info.default_of(path)


def test_a_damaged_installation_is_named(tmp_path, monkeypatch):
    (tmp_path / "disk.v1.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr("provisioner.manifest.catalog.files", lambda _package: tmp_path)
    with pytest.raises(ProvisionerError, match=r"PRV1008 the schema disk\.v1\.json"):
        SchemaCatalog.installed()


@pytest.mark.parametrize(
    ("kind", "path", "value", "canonical"),
    [
        (VM, ("cpu", "count"), 2, 2),
        (VM, ("memory", "size"), "2GiB", 2 << 30),
        (VM, ("nics", "lan", "mac"), "52-54-00-AA-00-01", "52:54:00:aa:00:01"),
        (VM, ("labels", "tier"), "web", "web"),
        (VM, ("native", "kvm", "domain", "0"), 5, 5),
        ("Network", ("dns", "forwarders", "0"), "FD00::1", "fd00::1"),
    ],
)
def test_a_late_value_becomes_canonical(kind, path, value, canonical):
    assert canonical == catalog().kind(kind).fitted(path, value)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("cpu", "count"), "2", "found '2', expected a whole number"),
        (("cpu", "count"), 0, "found the number 0, expected at least 1"),
        (("description",), ["a"], "found a list, expected text"),
        (("nics", "lan", "mac"), "${x}", "found '${x}', expected a MAC address"),
        (("nics", "lan", "address"), "10.0.0.300", "'10.0.0.300' is not an IP address"),
        (("power",), "off", "found 'off', expected one of running, stopped, suspended"),
    ],
)
def test_a_late_value_has_to_fit(path, value, found):
    with pytest.raises(ValueError, match=re.escape(found)):
        catalog().kind(VM).fitted(path, value)
