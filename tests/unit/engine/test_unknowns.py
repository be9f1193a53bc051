"""Putting outputs into specs."""

from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.engine.unknowns import OutputName, resolve, unknowns

KNOWN: dict[Address, dict[str, Json]] = {
    Address("Network", "lan"): {"bridge": "virbr3"},
    Address("VirtualMachine", "db.v1"): {
        "mac": {"lan": "52:54:00:00:00:01"},
        "addresses": ["10.0.0.5", "fd00::5"],
    },
}


def lookup(name: OutputName) -> Any:
    return name.of(KNOWN.get(name.address, {}))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"a": {"$unknown": "Network/lan:bridge"}}, {"a": "virbr3"}),
        ({"a": {"$unknown": "Network/lan:mtu"}}, {"a": {"$unknown": "Network/lan:mtu"}}),
        (
            {"a": [{"$template": ["on ", {"$unknown": "Network/lan:bridge"}, "!"]}]},
            {"a": ["on virbr3!"]},
        ),
        (
            {"a": {"$template": [{"$unknown": "Network/lan:bridge"}, {"$unknown": "X/y:z"}]}},
            {"a": {"$template": [{"$unknown": "Network/lan:bridge"}, {"$unknown": "X/y:z"}]}},
        ),
        ({"a": {"$unknown": "VirtualMachine/db.v1:mac.lan"}}, {"a": "52:54:00:00:00:01"}),
    ],
)
def test_resolve(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == resolve(spec, lookup)


def test_what_holds_no_output_is_the_same_object() -> None:
    spec = {"a": {"b": [1, 2, {"c": "d"}]}}
    assert resolve(spec, lookup) is spec


def test_unknowns_are_all_found() -> None:
    spec = {"a": [{"$template": ["x", {"$unknown": "A/b:c"}]}], "d": {"$unknown": "E/f:g"}}
    assert [OutputName(Address("A", "b"), "c"), OutputName(Address("E", "f"), "g")] == list(
        unknowns(spec)
    )
