"""Networks on a real daemon that are not ours: left alone, or adopted as they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.providers.api import Present, Terminal
from tests.lab.daemon import LibvirtDaemon

pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NAT: dict[str, Any] = {"mode": "nat", "cidr": "10.77.0.0/24"}


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


def test_a_foreign_network_is_adopted_as_it_is(bench: Any) -> None:
    text = "<network><name>lan</name><ip address='10.99.0.1' prefix='24'/></network>"
    foreign = bench.connection.call("define", lambda h: h.networkDefineXML(text))
    (found,) = bench.discover("Network")
    assert ("lan", "isolated") == (found.name, found.observed.spec["mode"])
    spec = {"mode": "isolated", "cidr": "10.99.0.0/24", "autostart": False}
    bench.adopt("Network", "lan", spec)
    assert 0 == foreign.isActive()
    # It is stopped, which is all that differs from what is wanted.
    assert {"mode"} == set(bench.plan("Network", "lan", spec).impacts)
    bench.apply("Network", "lan", {**spec, "mtu": 1400})
    assert foreign.UUIDString() == bench.present("Network", "lan").external_id
    bench.delete("Network", "lan")


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
