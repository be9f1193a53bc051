"""What discovery promises: who has what, in words from which a stack can be made, and the law of
it: discover, adopt, plan, and there is nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.core.address import Address
from provisioner.core.values import canonical_json
from provisioner.providers.api import Discovered
from provisioner.providers.registry import Registry
from provisioner.service.adopt import make_adoption_plan
from provisioner.service.apply import apply_plan
from provisioner.service.discover import Choices, Discovery, discover_host
from provisioner.service.model import Plan, StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace
from tests.conformance.provider.cases import base, kinds
from tests.conformance.provider.harness import HOST, SECRETS, Harness, told


def found_on(world: Harness) -> list[Discovered]:
    session = world.session()
    found = list(session.discover(world.provider.describe().kinds))
    session.close()
    return found


def by_id(world: Harness) -> dict[tuple[str, str], Discovered]:
    found = found_on(world)
    result = {(item.kind, item.observed.external_id): item for item in found}
    assert len(found) == len(result)
    return result


def test_what_is_ours_is_found_with_its_stamp(world: Harness, subject: Address) -> None:
    world.converge()
    found = by_id(world)[subject.kind, str(world.entry(subject).external_id)]
    if subject.kind in world.under_test.unstamped:
        # At most a name tells what an object was made for.
        owner = found.observed.owner
        assert owner is None or str(subject) == owner.address
    else:
        assert world.resource(subject).stamp == found.observed.owner


def test_what_is_found_is_plain_data(world: Harness, subject: Address) -> None:
    world.converge()
    for item in found_on(world):
        canonical_json([item.observed.spec, item.observed.outputs, list(item.notes)])
        assert item.name
        assert not [note for note in item.notes if not note or "\n" in note]


def test_references_are_ids_of_what_is_found(world: Harness, subject: Address) -> None:
    """Whatever a manifest of ours refers to is found, too, and meant by its id."""
    world.converge()
    found = by_id(world)
    entries = world.store.read().entries
    ours = {(a.kind, str(entry.external_id)): a for a, entry in entries.items()}
    item = found[subject.kind, str(world.entry(subject).external_id)]
    info = world.catalog.kind(subject.kind)
    meant = {
        target
        for field in info.references
        for target in field.targets(item.observed.spec)
        if "Host" not in field.kinds
    }
    assert set() == {target for target in meant if tuple(target) not in found}
    recorded = world.entry(subject).spec
    wanted = {
        target
        for field in info.references
        if not info.is_write_only(field.path)
        for target in field.targets(recorded)
        if target in entries
    }
    assert wanted <= {ours[kind, name] for kind, name in meant if (kind, name) in ours}


def test_an_object_is_found_by_the_name_that_is_told(
    world: Harness, subject: Address, foreign: str
) -> None:
    """A resource with that ``externalName`` is this object."""
    found = by_id(world)[subject.kind, foreign]
    world.erase(subject)
    called = world.subject(subject.kind)
    world.write(called, base(subject.kind), {"externalName": found.name})
    try:
        assert foreign == world.present(called).external_id
    finally:
        world.erase(called)


@pytest.fixture
def foreign(subject: Address, world: Harness) -> Iterator[str]:
    """The external id of an object with the subject's name that nobody owns."""
    outside = world.under_test.outside
    yield outside.add(subject.kind, subject.name)
    with suppress(LookupError, ValueError):
        outside.remove(subject.kind, subject.name)


class Newcomer:
    """A stack without resources on the same endpoint."""

    def __init__(self, world: Harness, folder: Path) -> None:
        self._world, self._folder = world, folder
        provider = world.provider.describe().name
        for kind, name, spec in (
            ("Stack", "newcomer", {}),
            ("Host", HOST, {"provider": provider, **world.under_test.host}),
        ):
            document = {
                "apiVersion": "provisioner/v1",
                "kind": kind,
                "metadata": {"name": name},
                "spec": spec,
            }
            (folder / f"{kind}.yaml").write_text(json.dumps(document), "utf-8")

    def workspace(self) -> Workspace:
        provider = self._world.provider
        return Workspace(
            self._folder,
            environ=SECRETS,
            registry=Registry({provider.describe().name: provider}),
            catalog=self._world.catalog,
        )

    def discover(self) -> Discovery:
        workspace = self.workspace()
        made = discover_host(workspace, HOST, self._folder, Choices(), lambda _: None)
        validate(self.workspace())
        return made

    def adopt(self) -> None:
        workspace = self.workspace()
        plan = make_adoption_plan(workspace, (), lambda _: None)
        report = apply_plan(workspace, plan, lambda _: None, StopSignal())
        assert () == report.problems

    def plan(self) -> Plan:
        return make_plan(self.workspace(), PlanChoices(), lambda _: None)


@pytest.fixture
def foreigners(world: Harness) -> Iterator[list[Address]]:
    """An object of each kind that nobody owns."""
    served = world.provider.describe().kinds
    made = [world.subject(kind) for kind in kinds() if kind in served]
    for address in made:
        world.under_test.outside.add(*address)
    yield made
    for address in reversed(made):
        with suppress(LookupError, ValueError):
            world.under_test.outside.remove(*address)


def test_discover_adopt_and_there_is_nothing_to_do(
    world: Harness, foreigners: list[Address], tmp_path: Path
) -> None:
    """With all that this stack and nobody has there; of what is this stack's nothing changes."""
    ours = {key: item for key, item in by_id(world).items() if item.observed.owner is not None}
    newcomer = Newcomer(world, tmp_path)
    made = newcomer.discover()
    assert set() == {(item.kind, item.name) for item in found_on(world)} - {
        *((item.address.kind, item.name) for item in made.written),
        *((item.kind, item.name) for item in made.not_expressed),
    }
    newcomer.adopt()
    plan = newcomer.plan()
    assert [] == [told(step) for step in (*plan.steps, *plan.held)]
    after = by_id(world)
    assert ours == {key: after[key] for key in ours}
    assert {(address.kind, address.name) for address in foreigners} <= {
        (item.kind, item.name) for item in after.values() if item.observed.owner is not None
    } | {(a.kind, a.name) for a in foreigners if a.kind in world.under_test.unstamped}
    world.expect_nothing_to_do()
