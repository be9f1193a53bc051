"""Words that people read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.refusal import unusable
from provisioner_plugins.vmware.wire.tls import WrongCertificateError

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.near import near_to
from provisioner_plugins.vmware.wire.errors import describe, rule_for
from provisioner_plugins.vmware.wire.sweep import Row


@pytest.mark.parametrize(
    ("found", "detail"),
    [
        ("vSphere knows none", "vSphere knows none."),
        ("only a vCenter has them", "Only a vCenter has them."),
    ],
)
def test_a_product_keeps_its_name(found: str, detail: str) -> None:
    assert detail == unusable(("type",), found, "").detail


def test_a_wrong_certificate_is_told_in_words() -> None:
    problem = WrongCertificateError("AB:CD", "EF:01", "SHA-256", is_of_host=False)
    told = describe(rule_for(problem), problem, "log in")
    assert "It has the SHA-256 fingerprint AB:CD; expected is EF:01." == told.detail


def test_the_very_name_is_not_nearly_the_name() -> None:
    address, stamp = Address("Folder", "machines"), Stamp("lineage", "Folder/machines", 0)
    target = Resource(address, "/DC0/vm", UUID(int=1), stamp, {}, exact=True)
    rows = [Row(path, vim.Folder, {"name": path}) for path in ("/DC0/vm", "/DC0/vm1")]
    inventory: Any = SimpleNamespace(rows=lambda *_: rows, path=lambda row: row.moid)
    assert ("/DC0/vm1",) == near_to(inventory, target)
