"""Names of manifests that are made from the names of objects."""

import random

import pytest

from provisioner.core.address import NAME_PATTERN
from provisioner.discovery.names import Wanted, names_for, plain_name


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("web", "web"),
        ("web01.qcow2", "web01.qcow2"),
        ("Web Server 01", "web-server-01"),
        ("Überwachung_2", "uberwachung-2"),
        ("--odd..", "odd"),
        ("a" * 70, "a" * 63),
        ("漢字", "network"),
        ("", "network"),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_name_comes_from_that_of_the_object(found: str, expected: str) -> None:
    assert expected == plain_name(found, "network")


def wanted(*names: str, within: str | None = None) -> list[Wanted]:
    return [Wanted(f"id-{number}-{name}", name, within) for number, name in enumerate(names)]


def test_whose_name_it_is_keeps_it() -> None:
    names = names_for(wanted("Web", "web", "WEB"), (), "x")
    assert "web" == names["id-1-web"]
    assert 3 == len({*names.values()})


def test_what_the_stack_has_is_taken() -> None:
    (name,) = names_for(wanted("web"), {"web"}, "x").values()
    assert ("web-", 12) == (name[:4], len(name))


def test_what_is_called_alike_is_told_apart_by_where_it_lives() -> None:
    root = [Wanted("a", "root", "fast"), Wanted("b", "root", "slow")]
    assert {"a": "root-fast", "b": "root-slow"} == names_for(root, (), "x")


def test_names_do_not_depend_on_the_order_in_which_objects_are_found() -> None:
    items = [
        *wanted("Web", "wEb", "web", "lan", "L" * 80, "l" * 80, "?", "!", "web-fast"),
        *(Wanted(f"{pool}-{name}", name, pool) for pool in ("fast", "slow") for name in "aAb"),
        Wanted("twice-1", "a", "fast"),
    ]
    expected = names_for(items, {"lan"}, "x")
    assert len(items) == len({*expected.values()})
    assert all(NAME_PATTERN.fullmatch(name) for name in expected.values())
    for seed in range(20):
        random.Random(seed).shuffle(items)
        assert expected == names_for(items, {"lan"}, "x")
