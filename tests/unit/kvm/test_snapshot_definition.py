"""The mark of a snapshot stands in its description, and people's words stay theirs."""

from typing import Any

import pytest

from provisioner_plugins._libvirt.xml import element, parse, serialize
from provisioner_plugins.kvm.snapshot import definition
from provisioner_plugins.kvm.snapshot.definition import SnapshotMark
from tests.unit.kvm.specs import resource


@pytest.mark.parametrize(
    "spec",
    [
        {"machine": "web"},
        {"machine": "web", "memory": True, "description": "Before\n\nthe upgrade <&>"},
        {"machine": "web", "labels": {"a": "ä"}, "tenant": "shop", "description": "x"},
    ],
)
def test_words_and_mark_come_back(spec: dict[str, Any]) -> None:
    snapshot = resource("Snapshot", "before", spec)
    document = parse(serialize(definition.build(snapshot)))
    found, mark = definition.read(document)
    assert {"memory": False, "labels": {}, **spec} == {**found, "machine": "web"}
    assert SnapshotMark.of(snapshot) == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Before the upgrade",
        "provisioner: is great",
        "provisioner: {}",
        'provisioner: {"lineage":"a","address":"b","generation":"x","memory":true}',
        "provisioner: [1]",
    ],
)
def test_a_description_without_a_mark_is_nobodys(text: str) -> None:
    document = element(
        "domainsnapshot",
        element("name", "s"),
        element("description", text),
        element("memory", {"snapshot": "internal"}),
    )
    found, mark = definition.read(document)
    assert mark is None
    assert text == found.get("description", "")
    assert found["memory"] is True


def test_the_time_is_rfc_3339() -> None:
    document = element("domainsnapshot", element("creationTime", "1795403365"))
    assert "2026-11-23T03:09:25Z" == definition.created(document)
