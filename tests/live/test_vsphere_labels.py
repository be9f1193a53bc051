"""Labels on a vCenter: in marks of any length, as tags, and as custom attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from provisioner.core.actions import Impact
from provisioner.providers.api import Change, Endpoint, Present, Resource, Terminal
from provisioner_plugins.vmware import esxi
from provisioner_plugins.vmware.labels.projection import ATTRIBUTES, TAGS
from provisioner_plugins.vmware.marks import Attributes
from provisioner_plugins.vmware.session import VmwareSession
from tests.lab.vcsim import Vcsim
from tests.live.vspherelab import machine, resource, session, soon

pytest.importorskip("pyVmomi")
pytestmark = pytest.mark.live

TAGGING = "/cis/tagging"
LOGIN = "POST /api/session"


class Vcenter:
    """A session with a thing of its own, and what is attached to it."""

    def __init__(self, opened: VmwareSession) -> None:
        self.opened = opened
        self.rest = opened._site.rest

    def made(self, asked: Resource) -> Resource:
        return replace(asked, external_id=self.opened.create(asked, soon()).external_id)

    def labels(self, asked: Resource) -> Mapping[str, str]:
        found = self.opened.observe([asked])[asked.address]
        assert isinstance(found, Present)
        labels: Mapping[str, str] = found.spec["labels"]
        return labels

    def relabel(self, asked: Resource, labels: Mapping[str, str]) -> Resource:
        """What an apply does with other labels."""
        wanted = replace(asked, spec={**asked.spec, "labels": labels})
        before = self.opened.observe([asked])[asked.address]
        assert isinstance(before, Present)
        change = Change(("labels",), before.spec["labels"], dict(labels), Impact.LIVE)
        self.opened.update(wanted, before, [change], restart=False, deadline=soon())
        return wanted

    def entity(self, asked: Resource) -> Any:
        return self.opened._labels._entity(asked, str(asked.external_id))

    def tags(self, asked: Resource) -> dict[str, list[str]]:
        """By category, as the vCenter has them."""
        found: dict[str, list[str]] = {}
        for tag_id in self.tag_ids(asked):
            tag = self.rest.get("", f"{TAGGING}/tag/{tag_id}")
            category = self.rest.get("", f"{TAGGING}/category/{tag['category_id']}")
            found.setdefault(category["name"], []).append(tag["name"])
        return {name: sorted(values) for name, values in found.items()}

    def attributes(self, asked: Resource) -> Mapping[str, str]:
        """But for the mark."""
        values = Attributes(self.opened._site.client).of(self.entity(asked))
        return {name: value for name, value in values.items() if "provisioner" not in name}

    def attach(self, asked: Resource, category: str, tag: str, cardinality: str) -> None:
        """What somebody else does: a category of his own, and a tag of it on a thing."""
        body: dict[str, Any] = {"name": category, "description": "", "associable_types": []}
        body["cardinality"] = cardinality
        made = self.rest.post("", f"{TAGGING}/category", body)
        body = {"category_id": made, "name": tag, "description": ""}
        self.link(asked, self.rest.post("", f"{TAGGING}/tag", body), "attach")

    def link(self, asked: Resource, tag_id: str, action: str) -> None:
        path = f"{TAGGING}/tag-association/{tag_id}"
        self.rest.post("", path, self._named(asked), {"action": action})

    def tag_ids(self, asked: Resource) -> Sequence[str]:
        query = {"action": "list-attached-tags"}
        found: Sequence[str] = self.rest.post(
            "", f"{TAGGING}/tag-association", self._named(asked), query
        )
        return found

    def _named(self, asked: Resource) -> dict[str, Any]:
        entity = self.entity(asked)
        return {"object_id": {"type": entity._wsdlName, "id": entity._GetMoId()}}


@pytest.fixture
def vcenter(vcsim_vcenter: Vcsim) -> Iterator[Vcenter]:
    with session(vcsim_vcenter, labels=[TAGS, ATTRIBUTES]) as opened:
        yield Vcenter(opened)


@pytest.fixture
def key() -> str:
    """A label that nothing else has."""
    return f"k{uuid4().hex}"


def folder(labels: Mapping[str, str]) -> Resource:
    return resource("Folder", f"f-{uuid4().hex[:8]}", {"type": "machine", "labels": labels})


def test_labels_are_shown(vcenter: Vcenter, key: str) -> None:
    asked = vcenter.made(folder({key: "web"}))
    assert {key: ["web"]} == vcenter.tags(asked)
    assert {key: "web"} == vcenter.attributes(asked)
    assert {key: "web"} == vcenter.labels(asked)
    vcenter.opened.delete(asked, soon())


def test_machine_shows_its_labels(vcenter: Vcenter, key: str) -> None:
    asked = vcenter.made(machine(f"m{key[:8]}", power="stopped", labels={key: "web"}))
    assert ({key: ["web"]}, {key: "web"}) == (vcenter.tags(asked), vcenter.attributes(asked))
    assert {key: "web"} == vcenter.labels(asked)
    vcenter.opened.delete(asked, soon())


def test_labels_change(vcenter: Vcenter, key: str) -> None:
    other = f"{key}-b"
    asked = vcenter.made(folder({key: "web", other: "shop"}))
    asked = vcenter.relabel(asked, {key: "db"})
    assert {key: ["db"]} == vcenter.tags(asked)
    assert {key: "db"} == vcenter.attributes(asked)
    assert {key: "db"} == vcenter.labels(asked)
    vcenter.relabel(asked, {})
    assert ({}, {}) == (vcenter.tags(asked), vcenter.attributes(asked))
    assert {} == vcenter.labels(asked)
    vcenter.opened.delete(asked, soon())


def test_tag_that_somebody_took_away_comes_back(vcenter: Vcenter, key: str) -> None:
    asked = vcenter.made(folder({key: "web"}))
    for tag_id in vcenter.tag_ids(asked):
        vcenter.link(asked, tag_id, "detach")
    assert {} == vcenter.labels(asked)
    vcenter.relabel(asked, {key: "web"})
    assert ({key: ["web"]}, {key: "web"}) == (vcenter.tags(asked), vcenter.labels(asked))
    vcenter.opened.delete(asked, soon())


def test_attribute_that_somebody_changed_is_seen(vcenter: Vcenter, key: str) -> None:
    asked = vcenter.made(folder({key: "web"}))
    hand = Attributes(vcenter.opened._site.client)
    hand.write("set it by hand", vcenter.entity(asked), key, "by hand")
    assert {key: "by hand"} == vcenter.labels(asked)
    vcenter.relabel(asked, {key: "web"})
    assert {key: "web"} == vcenter.attributes(asked)
    vcenter.opened.delete(asked, soon())


def test_tag_that_somebody_added_to_a_category_of_labels_is_seen(
    vcenter: Vcenter, key: str
) -> None:
    one, other = vcenter.made(folder({key: "web"})), vcenter.made(folder({}))
    [tag_id] = vcenter.tag_ids(one)
    vcenter.link(other, tag_id, "attach")
    assert {key: "web"} == vcenter.labels(other)
    vcenter.relabel(other, {})
    assert {} == vcenter.tags(other)
    for asked in (one, other):
        vcenter.opened.delete(asked, soon())


@pytest.mark.parametrize(
    ("cardinality", "expected"), [("MULTIPLE", ["theirs", "web"]), ("SINGLE", ["web"])]
)
def test_categories_of_others_are_used_as_they_are(
    vcenter: Vcenter, key: str, cardinality: str, expected: list[str]
) -> None:
    asked = vcenter.made(folder({}))
    vcenter.attach(asked, key, "theirs", cardinality)
    vcenter.attach(asked, f"{key}-b", "unrelated", "MULTIPLE")
    assert {} == vcenter.labels(asked)
    asked = vcenter.relabel(asked, {key: "web"})
    assert {key: expected, f"{key}-b": ["unrelated"]} == vcenter.tags(asked)
    assert {key: "web"} == vcenter.labels(asked)
    vcenter.relabel(asked, {})
    assert ["unrelated"] == vcenter.tags(asked)[f"{key}-b"]
    assert "web" not in vcenter.tags(asked).get(key, [])
    vcenter.opened.delete(asked, soon())


def test_what_is_not_ours_is_not_tagged(vcenter: Vcenter, key: str) -> None:
    asked = vcenter.made(folder({}))
    foreign = replace(asked, stamp=asked.stamp._replace(lineage=str(uuid4())))
    before = vcenter.opened.observe([asked])[asked.address]
    assert isinstance(before, Present)
    change = Change(("labels",), {}, {key: "web"}, Impact.LIVE)
    wanted = replace(foreign, spec={**asked.spec, "labels": {key: "web"}})
    with pytest.raises(Terminal, match="not ours"):
        vcenter.opened.update(wanted, before, [change], restart=False, deadline=soon())
    assert ({}, {}) == (vcenter.tags(asked), vcenter.attributes(asked))
    vcenter.opened.delete(asked, soon())


def test_many_objects_are_read_as_few_are(vcenter: Vcenter, vcsim_vcenter: Vcsim, key: str) -> None:
    made = [vcenter.made(folder({key: "web"})) for _ in range(12)]
    vcsim_vcenter.reset_counts()
    vcenter.opened.observe(made[:2])
    few = Counter(vcsim_vcenter.reset_counts())
    vcenter.opened.observe(made)
    assert few == Counter(vcsim_vcenter.reset_counts())
    for asked in made:
        vcenter.opened.delete(asked, soon())


def test_who_does_not_ask_for_it_has_no_tags(vcsim_vcenter: Vcsim, key: str) -> None:
    with session(vcsim_vcenter) as opened:
        vcsim_vcenter.reset_counts()
        vcenter = Vcenter(opened)
        asked = vcenter.made(folder({key: "web"}))
        assert {key: "web"} == vcenter.labels(asked)
        assert 0 == Counter(vcsim_vcenter.reset_counts())[LOGIN]
        assert {} == vcenter.tags(asked)
        opened.delete(asked, soon())


def test_esxi_host_has_neither(vcsim_vcenter: Vcsim) -> None:
    del vcsim_vcenter
    [problem] = esxi().check_endpoint(Endpoint("lab", "esxi", {"labels": [TAGS]}))
    assert ("PRV5310", ("connection", "labels")) == (problem.code, problem.path)


def test_mark_has_room_for_long_labels(vcsim_vcenter: Vcsim) -> None:
    long = {f"label-{number}": "ü" * 255 for number in range(5)}
    with session(vcsim_vcenter) as opened:
        vcenter = Vcenter(opened)
        asked = vcenter.made(folder(long))
        assert long == vcenter.labels(asked)
        longer = {**long, "one": "more" * 60}
        asked = vcenter.relabel(asked, longer)
        assert longer == vcenter.labels(asked)
        vcenter.relabel(asked, {"one": "less"})
        assert {"one": "less"} == vcenter.labels(asked)
        row = opened._site.places(anew=True).row(asked.external_id)
        assert row is not None
        assert ["provisioner.stamp"] == [*opened._site.places().attributes(row)]
        opened.delete(asked, soon())
