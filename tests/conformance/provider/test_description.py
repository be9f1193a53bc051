"""What a provider says of itself is true, and its judgements are pure. Law 8: capabilities."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.values import Path, canonical_json
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.validation import Validator
from provisioner.providers import capabilities
from provisioner.providers.api import API_VERSION, Change, Terminal
from tests.conformance.provider.harness import Harness
from tests.conformance.provider.under_test import APART, Candidate

PROTOCOLS = {
    capabilities.CONSOLE: capabilities.Console,
    capabilities.SNAPSHOT_REVERT: capabilities.SnapshotRevert,
    capabilities.POWER: capabilities.Power,
    capabilities.PREFLIGHT: capabilities.Preflight,
    capabilities.REPLICATION: capabilities.Replication,
    capabilities.STANDBY: capabilities.Standby,
    capabilities.USAGE: capabilities.Usage,
    capabilities.GUEST_AGENT: capabilities.GuestAgent,
    capabilities.LEASES: capabilities.Leases,
}


def test_it_speaks_this_version_of_the_contract(world: Harness) -> None:
    description = world.provider.describe()
    major, minor = description.api_version
    assert API_VERSION[0] == major
    assert minor <= API_VERSION[1]
    assert description.version
    assert description == world.provider.describe()


def test_it_serves_kinds_that_there_are(world: Harness, catalog: SchemaCatalog) -> None:
    kinds = world.provider.describe().kinds
    assert kinds
    assert kinds <= set(catalog.kinds)


def test_it_says_which_kinds_have_no_room_for_a_stamp(world: Harness) -> None:
    description = world.provider.describe()
    assert world.under_test.unstamped & description.kinds == description.unmarked


def test_its_schemas_are_schemas(world: Harness, catalog: SchemaCatalog) -> None:
    description = world.provider.describe()
    for schema in (description.connection_schema, description.native_schema):
        plain = json.loads(json.dumps(schema))
        assert "object" == plain["type"]
        assert isinstance(Validator(catalog.standalone(plain)).accepts({}), bool)
    connection = world.under_test.host.get("connection", {})
    accepts = Validator(catalog.standalone(dict(description.connection_schema))).accepts
    assert accepts(json.loads(json.dumps(connection)))


def test_its_defaults_fit_fields_that_have_none_in_the_schema(
    world: Harness, catalog: SchemaCatalog
) -> None:
    for kind, defaults in world.provider.describe().defaults.items():
        for path, value in values_in(defaults):
            info = catalog.kind(kind)
            assert info.default_of(path) is None
            assert value == info.fitted(path, value)


def values_in(section: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from values_in(value, (*above, name))
        else:
            yield (*above, name), value


def test_sessions_have_what_it_promises_and_nothing_else(world: Harness) -> None:
    promised = world.provider.describe().capabilities
    assert promised <= set(PROTOCOLS)
    session = world.session()
    has: Any = session
    found = {name for name, protocol in PROTOCOLS.items() if isinstance(has, protocol)}
    session.close()
    assert promised == found


def test_capabilities_with_tests_of_their_own_are_put_to_them(
    request: pytest.FixtureRequest, world: Harness
) -> None:
    candidate: Candidate = request.node.callspec.params["under_test"]
    assert APART & world.provider.describe().capabilities == candidate.capabilities


def test_normalise_is_pure_and_settles_at_once(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    before = copy.deepcopy(dict(resource.spec))
    once = world.provider.normalise(resource)
    assert canonical_json(once) == canonical_json(world.provider.normalise(resource))
    again = world.provider.normalise(replace(resource, spec=once))
    assert canonical_json(once) == canonical_json(again)
    assert before == resource.spec


def test_normalise_adds_no_field(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    assert set(world.provider.normalise(resource)) <= set(resource.spec)


def test_impact_judges_each_change_in_order(world: Harness, subject: Address) -> None:
    world.converge()
    resource, observed = world.resource(subject), world.present(subject)
    rules = world.catalog.kind(subject.kind)
    changes = [
        Change((field,), observed.spec.get(field), None, rules.impact_of((field,)))
        for field in sorted({*rules.canonical.children} - {"host", "placement", "power"})
    ]
    together = world.provider.impact(resource, observed, changes)
    assert len(changes) == len(together)
    alone = [world.provider.impact(resource, observed, [change])[0] for change in changes]
    assert alone == list(together)
    assert all(isinstance(item.impact, Impact) for item in together)


@pytest.mark.parametrize("times", [1, 2])
def test_a_session_may_be_closed_twice(world: Harness, times: int) -> None:
    session = world.session()
    for _ in range(times):
        session.close()
    kind = sorted(world.provider.describe().kinds)[0]
    with pytest.raises(Terminal):
        list(session.discover([kind]))
