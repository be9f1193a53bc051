"""Replication between memory endpoints, as far as it is their own: what the laws of
tests/conformance do not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from provisioner.providers.api import Present, ProviderError, Retryable, Session, Terminal
from provisioner.providers.capabilities import Way
from provisioner_plugins.memory.content import BLOCK
from tests.unit.memory.sites import DISK, MACHINE, Sites, deadline


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    made = Sites(tmp_path).begin()
    yield made
    made.close()


def code_of(caught: pytest.ExceptionInfo[ProviderError]) -> str:
    return cast("Terminal | Retryable", caught.value).diagnostic.code


def test_blocks_that_differ_are_moved(sites: Sites) -> None:
    moved = []
    for written in ([1, 2, 3], [2], []):
        for block in written:
            sites.near.outside.write("web", f"{written}", block=block)
        sites.synchronise(sites.replica())
        moved.append(sites.state().moved)
    assert [3 * BLOCK, BLOCK, 0] == moved


def test_a_seed_saves_what_it_has_in_common(sites: Sites) -> None:
    sites.near.outside.write("web", "old", block=1)
    sites.synchronise(sites.replica())
    sites.promote()
    sites.near.outside.write("web", "new", block=2)
    sites.synchronise(sites.replica(seeded=True))
    assert BLOCK == sites.state().moved


def test_without_a_disk_to_begin_with_everything_is_moved(sites: Sites) -> None:
    sites.near.outside.write("web", "new", block=2)
    sites.synchronise(sites.replica(seeded=True))
    assert ("00000001", BLOCK) == (sites.state().points[0].id, sites.state().moved)


@pytest.fixture
def begun_with_a_seed(sites: Sites) -> Sites:
    """The machine's former disk is at the far endpoint, and its source was lost when it was to be
    brought up to date.
    """
    sites.near.outside.write("web", "old")
    sites.synchronise(sites.replica())
    sites.promote()
    sites.near.outside.write("web", "new")
    sites.near.faults.add({"call": "read", "effect": "retryable"})
    with pytest.raises(Retryable):
        sites.synchronise(sites.replica(seeded=True))
    return sites


def test_a_seed_is_a_point_until_there_is_a_newer_one(begun_with_a_seed: Sites) -> None:
    sites = begun_with_a_seed
    (point,) = sites.state().points
    assert ("00000000", None, True) == (point.id, point.taken, sites.state().problem != "")
    newer = sites.synchronise(sites.replica(keep=3))
    assert ((newer,), "") == (sites.state().points, sites.state().problem)
    assert {"0": "new"} == sites.received()


def test_a_seed_becomes_the_disk_that_it_was(begun_with_a_seed: Sites) -> None:
    assert {"0": "old"} == begun_with_a_seed.received()
    assert "Replica" not in [item.kind for item in begun_with_a_seed.far.outside.objects()]


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_a_seed_stays_while_a_drill_stands_on_it(begun_with_a_seed: Sites, way: Way) -> None:
    sites = begun_with_a_seed
    sites.stage()
    newer = sites.synchronise(sites.replica(way))
    assert ["00000000", newer.id] == [point.id for point in sites.state().points]
    sites.far.session.unstage(sites.replica(keep=3), deadline())
    assert [newer.id] == [point.id for point in sites.state().points]
    assert {"0": "new"} == sites.received()


def test_a_guest_with_an_agent_is_brought_to_rest_where_that_is_asked_for(sites: Sites) -> None:
    asked = [sites.synchronise(sites.replica(quiesce=wanted)).quiesced for wanted in (True, False)]
    assert [True, False] == asked


def test_a_guest_that_does_not_run_is_not_brought_to_rest(sites: Sites) -> None:
    sites.near.session.power(sites.machine, "stopped", deadline())
    assert not sites.synchronise(sites.replica(quiesce=True)).quiesced


def test_a_guest_that_does_not_run_writes_nothing(sites: Sites) -> None:
    sites.near.session.power(sites.machine, "stopped", deadline())
    with pytest.raises(ValueError, match="does not run"):
        sites.near.outside.write("web", "something")


def test_what_guests_write_is_no_drift(sites: Sites) -> None:
    def fingerprint() -> str:
        found = sites.near.session.observe([sites.disk])[DISK]
        assert isinstance(found, Present)
        return found.fingerprint

    before = fingerprint()
    sites.synchronise(sites.replica(Way.CONTINUOUS))
    sites.near.outside.write("web", "something")
    assert before == fingerprint()


def test_a_write_of_another_process_arrives(sites: Sites) -> None:
    sites.synchronise(sites.replica(Way.CONTINUOUS))
    sites.near.elsewhere.write("web", "from there")
    assert {"0": "from there"} == sites.received()


@pytest.mark.parametrize("lost", ["near", "far"])
def test_a_lost_connection_is_told_and_taken_up_again(sites: Sites, lost: str) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    site = getattr(sites, lost)
    site.outside.cut_off()
    sites.near.outside.write("web", "unheard")
    site.outside.come_back()
    assert (False, True) == (sites.state().in_step, sites.state().problem != "")
    sites.near.outside.write("web", "still unheard", block=1)
    sites.synchronise(replica)
    sites.near.outside.write("web", "heard", block=2)
    assert (True, "") == (sites.state().in_step, sites.state().problem)
    assert {"0": "unheard", "1": "still unheard", "2": "heard"} == sites.received()


def test_what_is_written_after_the_loss_of_the_source_stays_there(sites: Sites) -> None:
    sites.synchronise(sites.replica(Way.CONTINUOUS))
    sites.near.outside.write("web", "before")
    sites.near.outside.cut_off()
    sites.near.outside.write("web", "after")
    assert {"0": "before"} == sites.received()


def test_nobody_gets_to_an_endpoint_that_is_cut_off(sites: Sites) -> None:
    sites.near.outside.cut_off()
    with pytest.raises(Retryable) as caught:
        sites.synchronise(sites.replica())
    assert "PRV5390" == code_of(caught)
    sites.near.outside.come_back()
    assert sites.synchronise(sites.replica()).taken is not None


def test_after_a_power_cut_the_endpoint_starts_what_it_starts_by_itself(sites: Sites) -> None:
    sites.near.outside.power_off()
    off = sites.near.outside.find(*MACHINE)
    sites.near.outside.come_back()
    on = sites.near.outside.find(*MACHINE)
    assert off is not None
    assert on is not None
    assert (False, True) == (off.is_on, on.is_on)


def test_the_endpoint_does_not_start_what_stands_by(sites: Sites) -> None:
    sites.near.session.power(sites.machine, "stopped", deadline())
    sites.near.session.stand_by(sites.machine, "it runs at far", deadline())
    sites.near.outside.power_off()
    sites.near.outside.come_back()
    found = sites.near.outside.find(*MACHINE)
    assert found is not None
    assert not found.is_on


def test_a_fault_of_the_source_leaves_no_point(sites: Sites) -> None:
    sites.near.faults.add({"call": "read", "effect": "retryable"})
    with pytest.raises(Retryable):
        sites.synchronise(sites.replica())
    assert () == sites.state().points


def test_a_lost_answer_costs_no_data(sites: Sites) -> None:
    sites.near.outside.write("web", "kept")
    sites.synchronise(sites.replica())
    sites.far.faults.add({"call": "promote", "effect": "lost-answer"})
    with pytest.raises(Retryable):
        sites.promote()
    assert {"0": "kept"} == sites.far.outside.content(sites.promote().external_id).blocks


def test_a_source_of_another_provider_is_refused(sites: Sites) -> None:
    other = cast("Session", object())
    with pytest.raises(Terminal) as caught:
        sites.far.session.synchronise(sites.replica(), other, deadline())
    assert "PRV5393" == code_of(caught)


def test_the_disks_of_a_drill_stay_while_its_machine_has_them(sites: Sites) -> None:
    sites.synchronise(sites.replica())
    machine = sites.drill_machine(sites.stage())
    sites.far.make(machine)
    with pytest.raises(Terminal) as caught:
        sites.far.session.unstage(sites.replica(), deadline())
    assert "PRV5396" == code_of(caught)
    sites.far.session.delete(machine, deadline())
    sites.far.session.unstage(sites.replica(), deadline())
    assert ["Replica"] == [item.kind for item in sites.far.outside.objects()]


@pytest.mark.parametrize("call", ["promote", "discard"])
def test_a_drill_is_not_taken_away_from_under_itself(sites: Sites, call: str) -> None:
    sites.synchronise(sites.replica())
    sites.stage()
    rest: tuple[Any, ...] = (None,) if call == "promote" else ()
    with pytest.raises(Terminal) as caught:
        getattr(sites.far.session, call)(sites.replica(), *rest, deadline())
    assert "PRV5396" == code_of(caught)


def test_changing_the_way_leaves_points_with_a_time(sites: Sites) -> None:
    sites.synchronise(sites.replica(Way.CONTINUOUS))
    sites.near.outside.write("web", "kept")
    point = sites.synchronise(sites.replica(keep=3))
    assert ((point,), False) == (sites.state().points, sites.state().in_step)


def test_what_an_array_brings_is_found(sites: Sites) -> None:
    replica, taken = sites.replica(Way.EXTERNAL), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with pytest.raises(Terminal) as caught:
        sites.synchronise(replica)
    assert "PRV5399" == code_of(caught)
    sites.near.outside.write("web", "copied")
    sites.far.outside.copy_by_array(replica, sites.near.outside, taken)
    assert taken == sites.synchronise(replica).taken
    assert {"0": "copied"} == sites.received()


def test_calls_take_the_time_that_the_connection_says(tmp_path: Path) -> None:
    """An hour: what is shown is that the call gives up at its deadline instead."""
    sites = Sites(tmp_path, latency={"synchronise": 3600}).begin()
    with pytest.raises(Retryable) as caught:
        sites.far.session.synchronise(sites.replica(), sites.near.session, deadline(0.01))
    assert "PRV5904" == code_of(caught)
    assert () == sites.state().points
