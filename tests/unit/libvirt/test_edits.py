"""Changes carried out on specs, and differences between configured and running."""

from typing import Any

import pytest

from provisioner.providers.api import Change
from provisioner_plugins._libvirt.edits import is_known, running_differences, with_changes


@pytest.mark.parametrize(
    ("path", "after", "expected"),
    [
        (("a",), 2, {"a": 2, "b": {"c": 1, "d": [1]}}),
        (("b", "c"), 2, {"a": 1, "b": {"c": 2, "d": [1]}}),
        (("b", "e"), {"f": 1}, {"a": 1, "b": {"c": 1, "d": [1], "e": {"f": 1}}}),
        (("x", "y"), 1, {"a": 1, "b": {"c": 1, "d": [1]}, "x": {"y": 1}}),
        (("a",), None, {"b": {"c": 1, "d": [1]}}),
        (("b", "c"), None, {"a": 1, "b": {"d": [1]}}),
        (("x", "y"), None, {"a": 1, "b": {"c": 1, "d": [1]}}),
        (("a", "y"), 1, {"a": {"y": 1}, "b": {"c": 1, "d": [1]}}),
    ],
)
def test_a_change_is_carried_out_on_a_copy(path: Any, after: Any, expected: Any) -> None:
    observed = {"a": 1, "b": {"c": 1, "d": [1]}}
    assert expected == with_changes(observed, [Change(path, None, after)])
    assert {"a": 1, "b": {"c": 1, "d": [1]}} == observed


def test_a_later_change_does_not_reach_into_the_earlier_one_s_value() -> None:
    value = {"f": 1}
    changes = [Change(("e",), None, value), Change(("e", "f"), None, 2)]
    assert {"e": {"f": 2}} == with_changes({}, changes)
    assert {"f": 1} == value


def test_running_differences_stand_at_the_deepest_place() -> None:
    configured = {"mtu": 1400, "dhcp": {"on": True, "hosts": {"m1": {"ip": "1"}}}, "same": [1]}
    live = {"dhcp": {"on": True, "hosts": {"m1": {"ip": "2"}, "m2": {"ip": "3"}}}, "same": [1]}
    assert {
        ("mtu",): None,
        ("dhcp", "hosts", "m1", "ip"): "2",
        ("dhcp", "hosts", "m2"): {"ip": "3"},
    } == running_differences(configured, live)
    assert {} == running_differences(live, live)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, {"b": "x"}]}, True),
        ({"a": {"$unknown": "Network/lan.bridge"}}, False),
        ({"a": [{"$template": ["x"]}]}, False),
    ],
)
def test_what_waits_for_an_output_is_not_known(value: Any, expected: bool) -> None:
    assert expected == is_known(value)
