"""Networks on a real daemon that are not ours: left alone, or adopted as they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Present, Terminal
from provisioner.providers.capabilities import Undertaking
from tests.lab.daemon import LibvirtDaemon

pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NAT: dict[str, Any] = {"mode": "nat", "cidr": "10.77.0.0/24"}

SPEC = {"mode": "isolated", "cidr": "10.99.0.0/24", "autostart": False}


@pytest.fixture
def bench(libvirt_system: LibvirtDaemon) -> Iterator[Any]:
    stack = handlerbench.Bench(libvirt_system.uri)
    yield stack
    stack.close()


def test_a_network_of_that_name_that_is_not_ours_is_left_alone(bench: Any) -> None:
    text = "<network><name>lan</name><ip address='10.99.0.1' prefix='24'/></network>"
    foreign = bench.connection.call("define", lambda h: h.networkDefineXML(text))
    before = foreign.XMLDesc(0)
    planned = bench.plan("Network", "lan", NAT)
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is None
    handler = bench.handlers["Network"]
    found = replace(planned.resource, external_id=foreign.UUIDString())
    attempts = (
        lambda: handler.create(planned.resource, bench.deadline()),
        lambda: handler.update(
            planned.resource, planned.observed, (), restart=True, deadline=bench.deadline()
        ),
        lambda: handler.delete(found, bench.deadline()),
    )
    codes = []
    for attempt in attempts:
        with pytest.raises(Terminal) as caught:
            attempt()
        codes.append(caught.value.diagnostic.code)
    assert ["PRV5118", "PRV5119", "PRV5119"] == codes
    assert before == foreign.XMLDesc(0)


FIELDS: list[Any] = [
    # what is wanted, and the fields that stand in the way of the network that runs
    ({"mode": "nat", "cidr": "10.99.0.128/25"}, ["cidr"]),
    ({"mode": "isolated", "cidr": "10.98.0.0/24", "cidr6": "fd00:99::/48"}, ["cidr6"]),
    ({"mode": "isolated", "cidr": "10.98.0.0/24"}, []),
    ({"mode": "user", "cidr": "10.99.0.0/24"}, []),
]


@pytest.mark.parametrize(("spec", "fields"), FIELDS)
def test_addresses_of_a_network_that_runs_are_taken(
    bench: Any, spec: dict[str, Any], fields: list[str]
) -> None:
    text = (
        "<network><name>theirs</name><ip address='10.99.0.1' prefix='24'/>"
        "<ip family='ipv6' address='fd00:99::1' prefix='64'/></network>"
    )
    foreign = bench.connection.call("define", lambda h: h.networkDefineXML(text))
    assert [] == looking_ahead(bench, spec)
    foreign.create()
    found = looking_ahead(bench, spec)
    assert [("PRV5122", (field,)) for field in fields] == [(item.code, item.path) for item in found]
    assert all("the network theirs" in item.detail for item in found)


def test_addresses_of_a_network_of_the_stack_are_not_taken(bench: Any) -> None:
    bench.apply("Network", "old", NAT)
    bench.recorded.clear()
    assert [] == looking_ahead(bench, NAT)


def looking_ahead(bench: Any, spec: dict[str, Any]) -> list[Diagnostic]:
    undertaking = Undertaking(bench.resource("Network", "lan", spec))
    handler, inventory = bench.handlers["Network"], handlerbench.Inventory(bench.connection)
    return [*handler.preflight(inventory, undertaking, bench.deadline(), thorough=False)]


def test_a_foreign_network_is_adopted_as_it_is(bench: Any) -> None:
    text = "<network><name>lan</name><ip address='10.99.0.1' prefix='24'/></network>"
    foreign = bench.connection.call("define", lambda h: h.networkDefineXML(text))
    (found,) = bench.discover("Network")
    assert ("lan", "isolated") == (found.name, found.observed.spec["mode"])
    bench.adopt("Network", "lan", SPEC)
    assert 0 == foreign.isActive()
    # It is stopped, which is all that differs from what is wanted.
    assert {"mode"} == set(bench.plan("Network", "lan", SPEC).impacts)
    bench.apply("Network", "lan", {**SPEC, "mtu": 1400})
    assert foreign.UUIDString() == bench.present("Network", "lan").external_id
    bench.delete("Network", "lan")


def test_a_foreign_network_without_a_definition_differs_in_nothing(bench: Any) -> None:
    """This daemon (before 9.7) can mark it with a definition only, which the step tells."""
    text = "<network><name>lan</name><ip address='10.99.0.1' prefix='24'/></network>"
    foreign = bench.connection.call("create", lambda h: h.networkCreateXML(text))
    (found,) = bench.discover("Network")
    assert ((), {}) == (tuple(found.observed.running), bench.plan("Network", "lan", SPEC).impacts)
    assert ["it has no definition and goes when it is stopped; taken over, it gets one"] == [
        *found.notes
    ]
    (note,) = bench.adopt("Network", "lan", SPEC).notes
    assert "it had no definition and has one now" in note
    assert (1, 1) == (foreign.isActive(), foreign.isPersistent())
    assert {} == bench.plan("Network", "lan", SPEC).impacts


def test_another_stack_s_network_is_not_adopted(bench: Any, libvirt_system: LibvirtDaemon) -> None:
    bench.apply("Network", "lan", NAT)
    other = handlerbench.Bench(libvirt_system.uri)
    planned = other.plan("Network", "lan", NAT)
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is not None
    assert str(bench.lineage) == planned.observed.owner.lineage
    with pytest.raises(Terminal) as caught:
        other.handlers["Network"].adopt(planned.resource, planned.observed, other.deadline())
    assert "PRV5119" == caught.value.diagnostic.code
    other.close()
