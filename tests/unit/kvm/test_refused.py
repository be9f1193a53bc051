"""What kvm does not carry is refused, each field with the nearest way."""

from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.values import path_text
from provisioner_plugins._libvirt import disk, image, network, pool
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.machine import refused
from provisioner_plugins.kvm.snapshot import rules as snapshot
from tests.unit.kvm.specs import MIB, resource

BASES: dict[str, dict[str, Any]] = {
    "Disk": {"pool": "pool", "size": MIB},
    "Image": {"pool": "pool", "source": {"file": "a"}, "format": "raw"},
    "Network": {"mode": "isolated"},
    "StoragePool": {"type": "dir", "path": "/p"},
    "VirtualMachine": {"memory": {"size": 16 * MIB}},
    "Snapshot": {"machine": "web"},
}
TABLES = {
    "Disk": disk.REFUSED,
    "Image": image.REFUSED,
    "Network": network.REFUSED,
    "StoragePool": pool.REFUSED,
    "VirtualMachine": refused.REFUSED,
    "Snapshot": snapshot.REFUSED,
}
CASES = [
    (kind, entry.path, value, entry.hint)
    for kind, table in TABLES.items()
    for entry in table
    for value in entry.values or ("anything",)
]


@pytest.mark.parametrize(("kind", "path", "value", "hint"), CASES)
def test_each_is_told_with_its_place_and_a_way_out(
    kind: str, path: tuple[str, ...], value: str, hint: str
) -> None:
    place = tuple("one" if part == "*" else part for part in path)
    with pytest.raises(ProvisionerError) as caught:
        provider().normalise(resource(kind, "web", put(BASES[kind], place, value)))
    (found,) = caught.value.diagnostics
    assert (place, hint) == (found.path, found.hint)
    assert found.code in ("PRV2502", "PRV2505")
    assert f"{path_text(place)} cannot be used with libvirt here" == found.summary


def put(spec: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    if not path:
        raise ValueError("no place")
    first, *rest = path
    below = put(spec.get(first, {}), tuple(rest), value) if rest else value
    return {**spec, first: below}


def test_what_it_carries_passes() -> None:
    for kind, spec in BASES.items():
        assert spec == provider().normalise(resource(kind, "web", spec))
    assert provider().normalise(resource("Snapshot", "s", {"machine": "web", "quiesce": False}))
