"""Marks in custom attributes, whose values have room for 255 characters each."""

from __future__ import annotations

import pytest

from provisioner.core.identity import Stamp
from provisioner_plugins.vmware.stamp import MOST, Mark

STAMP = Stamp("5e1f0a52-9c1f-4d7c-8a55-0c8f0b0d7a11", f"ResourcePool/{'n' * 63}", 999_999)
MANY = {f"{'k' * 60}{number}": "ä" * 255 for number in range(100)}


@pytest.mark.parametrize("labels", [{}, {"tier": "web"}, {"note": "x" * 255}, MANY])
def test_mark_fits_whatever_the_labels(labels: dict[str, str]) -> None:
    mark = Mark(STAMP, labels, "t" * 63, {"switch": "made"})
    parts = mark.parts()
    assert max(map(len, parts)) <= MOST
    assert mark == Mark.joined(dict(enumerate(parts)))


def test_short_mark_is_one_value() -> None:
    mark = Mark(Stamp("lineage", "Folder/shop"), {"tier": "web"})
    assert [mark.text()] == mark.parts()


def test_of_a_mark_that_is_written_by_half_whose_it_is_counts() -> None:
    old, new = Mark(STAMP, {"note": "x" * 255}), Mark(STAMP, {"note": "y" * 255})
    half = {**dict(enumerate(new.parts())), 0: old.parts()[0]}
    assert Mark(STAMP) == Mark.joined(half)


def test_values_of_others_are_no_mark() -> None:
    assert Mark.joined({}) is None
    assert Mark.joined({0: "told by hand", 1: "{}"}) is None
