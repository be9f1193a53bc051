"""What the connections of a vCenter and of an ESXi host show to an author."""

from __future__ import annotations

import json

from provisioner_plugins.vmware import esxi, vcenter


def test_both_sorts_of_endpoints_have_the_same_fields() -> None:
    one, other = (found.describe().connection_schema for found in (vcenter(), esxi()))
    assert one["properties"].keys() == other["properties"].keys()
    assert one["required"] == other["required"]


def test_an_esxi_host_has_examples_of_its_own() -> None:
    shown = json.dumps(esxi().describe().connection_schema)
    assert [] == [word for word in ("vcenter.example", "vsphere.local", "DC0") if word in shown]
