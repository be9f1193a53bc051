"""Puts every provider of providers.py under test, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.manifest.catalog import SchemaCatalog
from tests.conformance.provider.cases import FieldCase, MissingValueError, base, kinds
from tests.conformance.provider.harness import Harness
from tests.conformance.provider.providers import CANDIDATES
from tests.conformance.provider.under_test import Candidate, ProviderUnderTest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about kinds that a provider does not serve, or about what it lacks; put off
    what is about each field, or about kinds besides machines, of a provider that shares its code
    with another.
    """
    functions = [item for item in items if isinstance(item, pytest.Function)]
    apart = [item for item in functions if _is_other_kind(item) or _is_lacking(item)]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]
    for item in functions:
        if _is_shared(item):
            item.add_marker(pytest.mark.slow)


def _is_shared(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    candidate = parameters.get("under_test")
    if not isinstance(candidate, Candidate) or candidate.like is None:
        return False
    other = parameters.get("kind", "VirtualMachine") != "VirtualMachine"
    return other or isinstance(parameters.get("case"), FieldCase)


def _is_other_kind(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    candidate = parameters.get("under_test")
    if not isinstance(candidate, Candidate):
        return False
    case = parameters.get("case")
    kind = case.kind if isinstance(case, FieldCase) else parameters.get("kind")
    return isinstance(kind, str) and not candidate.serves(kind)


def _is_lacking(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    candidate = parameters.get("under_test")
    capability = getattr(item.module, "CAPABILITY", None)
    return isinstance(candidate, Candidate) and capability not in (None, *candidate.capabilities)


@pytest.fixture(scope="session")
def catalog() -> SchemaCatalog:
    return SchemaCatalog.installed()


@pytest.fixture(
    scope="module",
    params=[
        # One worker for each provider: an endpoint is started once for all modules it can.
        pytest.param(
            candidate,
            marks=[
                pytest.mark.xdist_group(f"conformance-{candidate.name}"),
                *([pytest.mark.live] if candidate.live else []),
            ],
        )
        for candidate in CANDIDATES
    ],
    ids=lambda candidate: candidate.name,
)
def under_test(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderUnderTest]:
    candidate: Candidate = request.param
    started = candidate.start(tmp_path_factory.mktemp(candidate.name))
    yield started
    started.close()


@pytest.fixture(scope="module")
def world(
    under_test: ProviderUnderTest,
    tmp_path_factory: pytest.TempPathFactory,
    catalog: SchemaCatalog,
) -> Iterator[Harness]:
    """A stack with the surroundings applied; tests add subjects of their own names."""
    harness = Harness(under_test, tmp_path_factory.mktemp("stack"), catalog, "first")
    harness.surround()
    yield harness
    harness.close()


@pytest.fixture
def neighbour(
    under_test: ProviderUnderTest,
    tmp_path_factory: pytest.TempPathFactory,
    catalog: SchemaCatalog,
) -> Iterator[Harness]:
    """Another stack on the same endpoint, with nothing in it."""
    harness = Harness(under_test, tmp_path_factory.mktemp("neighbour"), catalog, "second")
    yield harness
    harness.close()


def need(world: Harness, kind: str, *fields: str) -> None:
    """Skip where the endpoint has no such kind, cannot have one of the fields, or has nothing that
    one of them could name.
    """
    description = world.provider.describe()
    if kind not in description.kinds:
        pytest.skip(f"{description.name} does not serve {kind}")
    for field in ("", *fields):
        reason = world.under_test.refuses(kind, field)
        if reason is not None:
            pytest.skip(reason)
    for reference in world.catalog.kind(kind).references:
        place = [part for part in reference.path if part != "*"]
        named = any(field.split(".")[: len(place)] == place for field in fields)
        if named and description.kinds.isdisjoint(reference.kinds):
            pytest.skip(f"{description.name} does not serve {' or '.join(reference.kinds)}")


@pytest.fixture(params=kinds())
def kind(request: pytest.FixtureRequest, world: Harness) -> str:
    """Each kind that the provider serves."""
    name: str = request.param
    need(world, name)
    return name


@pytest.fixture
def subject(kind: str, world: Harness) -> Iterator[Address]:
    """A resource of this kind with the smallest spec there is, declared but not applied."""
    address = world.subject(kind)
    try:
        world.write(address, base(kind))
    except MissingValueError as problem:
        pytest.skip(f"the provider under test gives no value for ${problem}")
    yield address
    forget(world, address)


def forget(world: Harness, address: Address) -> None:
    """Take a subject out of the stack and off the endpoint."""
    world.erase(address)
    try:
        world.carry_out(world.plan())
    except (AssertionError, ProvisionerError):
        # The stack is shared: what one test could not remove must not fail all that follow.
        world.abandon(address)
        raise
    if world.under_test.outside.picture(address.kind, address.name) is not None:
        world.under_test.outside.remove(address.kind, address.name)
