"""A call about a replica that ended anywhere is completed by the same call."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.providers.api import Terminal
from provisioner.providers.capabilities import Replica, Way
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import encode
from tests.unit.memory.sites import DISK, LOG, Sites, deadline

Step = Callable[[Sites], object]


class Killed(BaseException):
    """The process is gone, before it wrote its next line."""


def both(sites: Sites, way: Way = Way.INCREMENTAL, *, seeded: bool = False) -> Replica:
    return Replica(sites.machine, {DISK: sites.disk, LOG: sites.log}, way, seeded=seeded)


def synchronise(sites: Sites) -> object:
    return sites.synchronise(both(sites))


def follow(sites: Sites) -> object:
    return sites.synchronise(both(sites, Way.CONTINUOUS))


def seed(sites: Sites) -> object:
    return sites.synchronise(both(sites, seeded=True))


def suspend(sites: Sites) -> object:
    sites.far.session.suspend(both(sites), sites.near.session, deadline())
    return None


def stage(sites: Sites) -> object:
    return sites.far.session.stage(both(sites), None, deadline())


def unstage(sites: Sites) -> object:
    sites.far.session.unstage(both(sites), deadline())
    return None


def promote(sites: Sites) -> object:
    return sites.far.session.promote(both(sites), None, deadline())


def discard(sites: Sites) -> object:
    sites.far.session.discard(both(sites), deadline())
    return None


CASES: dict[str, tuple[list[Step], Step]] = {
    "follow": ([], follow),
    "seed": ([synchronise, promote], seed),
    "suspend": ([follow], suspend),
    "stage": ([synchronise], stage),
    "unstage": ([synchronise, stage], unstage),
    "promote": ([synchronise], promote),
    "discard": ([synchronise], discard),
}


def prepared(folder: Path, before: list[Step]) -> Sites:
    folder.mkdir()
    sites = Sites(folder).begin()
    for step in before:
        sites.near.outside.write("web", step.__name__, "data")
        sites.near.outside.write("web", step.__name__, "log", block=1)
        step(sites)
    return sites


def picture(sites: Sites) -> list[str]:
    """Everything at both sites; how often something was tried, and when, is left out."""
    objects = [*sites.near.outside.objects(), *sites.far.outside.objects()]
    lines = [re.sub(r'"(moved|number)":\d+|"taken":"[^"]*"', "", encode(item)) for item in objects]
    return [re.sub(r'"id":"0+\d"|"where.*?"|/[^"]*jsonl', "", line) for line in lines]


def killed_at(monkeypatch: pytest.MonkeyPatch, sites: Sites, step: Step, line: int) -> bool:
    """Whether the process came to the line that it was killed at."""
    written = [0]
    append = Inventory._append

    def counting(this: Inventory, text: str) -> None:
        if written[0] == line:
            raise Killed
        written[0] += 1
        append(this, text)

    with monkeypatch.context() as patched:
        patched.setattr(Inventory, "_append", counting)
        try:
            step(sites)
        except Killed:
            return True
    return False


def test_a_promotion_that_was_cut_short_becomes_the_replica_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = prepared(tmp_path / "sites", [synchronise])
    assert killed_at(monkeypatch, sites, promote, 1)
    again = Sites(tmp_path / "sites")
    with pytest.raises(Terminal):
        synchronise(again)
    again.near.outside.write("web", "newer", "data")
    seed(again)
    assert ["Replica"] == [item.kind for item in again.far.outside.objects()]
    made = again.far.session.promote(both(again), None, deadline())
    assert "newer" == again.far.outside.content(made[DISK].external_id).blocks["0"]


@pytest.mark.parametrize("case", CASES)
def test_the_next_call_completes_it(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, step = CASES[case]
    whole = prepared(tmp_path / "whole", before)
    step(whole)
    line = 0
    while True:
        folder = tmp_path / str(line)
        if not killed_at(monkeypatch, prepared(folder, before), step, line):
            break
        again = Sites(folder)
        step(again)
        assert picture(whole) == picture(again)
        line += 1
    assert line > 0
