"""The mark of ownership in a definition's metadata."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt import fragment_record, metadata
from provisioner_plugins._libvirt.stamp import Mark, build, read
from provisioner_plugins._libvirt.stamp import replace as put
from provisioner_plugins._libvirt.xml import element, parse, serialize

STAMP = Stamp("0b2c1f4e-0000-4000-8000-000000000001", "Network/lan", 3)

# What XML 1.0 can carry at all, without the white space that it normalises in attributes.
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20).filter(
    lambda text: not any(ord(c) in (0xFFFE, 0xFFFF) for c in text)
)


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=4), st.none() | TEXT.filter(bool))
def test_a_mark_is_read_as_it_was_written(labels: dict[str, str], tenant: str | None) -> None:
    root = element("network")
    put(root, Mark(STAMP, labels, tenant))
    assert Mark(STAMP, labels, tenant) == read(parse(serialize(root)))


def test_a_mark_is_replaced_and_other_metadata_stays() -> None:
    root = parse("<network><metadata><x:other xmlns:x='urn:x'/></metadata></network>")
    put(root, Mark(STAMP, {"a": "b"}))
    put(root, Mark(STAMP._replace(generation=4)))
    assert Mark(STAMP._replace(generation=4)) == read(root)
    assert ["{urn:x}other", "{urn:provisioner:stamp:1}stamp"] == [n.tag for n in root[0]]


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "<s:stamp xmlns:s='urn:provisioner:stamp:1'/>",
        "<s:stamp xmlns:s='urn:provisioner:stamp:1' lineage='x' address='Network/lan'/>",
        "<s:stamp xmlns:s='urn:provisioner:stamp:1' lineage='' address='a' generation='0'/>",
        "<s:stamp xmlns:s='urn:provisioner:stamp:1' lineage='x' address='a' generation='-1'/>",
        "<s:stamp xmlns:s='urn:provisioner:stamp:2' lineage='x' address='a' generation='0'/>",
        "<stamp lineage='x' address='a' generation='0'/>",
    ],
)
def test_what_is_not_whole_is_nobody_s(stamp: str) -> None:
    assert read(parse(f"<network><metadata>{stamp}</metadata></network>")) is None
    assert read(element("network")) is None


def test_the_mark_of_a_resource() -> None:
    spec = {"labels": {"tier": "web"}, "tenant": "shop", "mode": "nat"}
    resource = Resource(Address("Network", "lan"), "lan", UUID(int=1), STAMP, spec)
    assert Mark(STAMP, {"tier": "web"}, "shop") == Mark.of(resource)
    assert {"labels": {"tier": "web"}, "tenant": "shop"} == Mark.of(resource).fields()
    bare = Mark.of(replace(resource, spec={"mode": "nat"}))
    assert {"labels": {}} == bare.fields()
    assert "tenant" not in build(bare).attrib


def test_the_parts_of_our_metadata_without_their_namespaces() -> None:
    """As the calls take them that write nothing but metadata."""
    document = parse("<domain><name>web</name></domain>")
    put(document, Mark(STAMP))
    fragment_record.write(document, ["<a/>"])
    record, mark = metadata.parts(document)
    expected = ("provisioner-native", fragment_record.NAMESPACE)
    assert (*expected, "<native><fragment>&lt;a/&gt;</fragment></native>") == record
    assert mark.text is not None
    assert mark.text.startswith("<stamp lineage=")
    fragment_record.write(document, [])
    # The stamp is the last: what has one has its record, too.
    assert [None, mark.text] == [part.text for part in metadata.parts(document)]
