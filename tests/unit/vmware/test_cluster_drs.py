"""A cluster without DRS has no resource pools: said before they are lost, or asked for."""

from typing import Any
from uuid import UUID

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Change, Present, Resource
from provisioner_plugins.vmware import vcenter

SHOP = Address("Cluster", "shop")


def resource(address: Address, spec: dict[str, Any], **rest: Any) -> Resource:
    stamp = Stamp(str(UUID(int=1)), str(address), 0)
    return Resource(address, address.name, UUID(int=2), stamp, spec, **rest)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(("drs", "enabled"), before=True, after=False), (Impact.RESTART, False)),
        (Change(("drs", "enabled"), before=True, after=None), (Impact.RESTART, False)),
        (Change(("drs",), before={"enabled": True}, after=None), (Impact.RESTART, False)),
        (Change(("drs", "enabled"), before=False, after=True), (Impact.LIVE, True)),
        (Change(("drs", "automation"), before="full", after="manual"), (Impact.LIVE, True)),
    ],
)
def test_switching_drs_off_has_to_be_allowed(change: Change, expected: tuple[Impact, bool]) -> None:
    observed = Present("domain-c8", None, {}, "1")
    [found] = vcenter().impact(resource(SHOP, {}), observed, [change])
    assert expected == (found.impact, found.deferrable)
    assert (expected[0] is Impact.RESTART) == ("resource pools" in found.reason)


@pytest.mark.parametrize(("drs", "expected"), [({"enabled": False}, ["PRV2551"]), ({}, [])])
def test_a_pool_of_a_cluster_that_is_to_have_none(
    drs: dict[str, bool], expected: list[str]
) -> None:
    related = {SHOP: resource(SHOP, {"drs": drs})}
    pool = resource(Address("ResourcePool", "gold"), {"cluster": "shop"}, related=related)
    try:
        vcenter().normalise(pool)
        found = []
    except ProvisionerError as problem:
        found = [item.code for item in problem.diagnostics]
    assert expected == found
