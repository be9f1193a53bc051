"""The capability Replication, for the providers that promise it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Absent, Present, Terminal
from provisioner.providers.capabilities import REPLICATION, Point, ReplicaState, Way
from tests.conformance.provider.conftest import forget
from tests.conformance.provider.harness import Harness
from tests.conformance.provider.sites import POOL, SIZE, Sites, of_stranger
from tests.conformance.provider.under_test import (
    DeliveringUnderTest,
    ProviderUnderTest,
    ReplicatingUnderTest,
)

CAPABILITY = REPLICATION
WHOEVER_COPIES: set[Callable[..., None]] = set()


def whoever_copies(test: Callable[..., None]) -> Callable[..., None]:
    """A law that holds as well where the copies are another tool's: how many there are, how old
    they get and when they go is that tool's to say then.
    """
    WHOEVER_COPIES.add(test)
    return test


@pytest.fixture(autouse=True)
def _fitting(request: pytest.FixtureRequest, under_test: ProviderUnderTest) -> None:
    delivers = isinstance(under_test, DeliveringUnderTest)
    if delivers and request.function not in WHOEVER_COPIES:
        pytest.skip("another tool takes its recovery points, keeps them and removes them")


@pytest.fixture(scope="module")
def world(
    under_test: ProviderUnderTest, tmp_path_factory: pytest.TempPathFactory, catalog: SchemaCatalog
) -> Iterator[Harness]:
    """A stack with nothing but a pool."""
    harness = Harness(under_test, tmp_path_factory.mktemp("here"), catalog, "here")
    harness.surround([POOL])
    yield harness
    harness.close()


@pytest.fixture(scope="module")
def there(
    world: Harness, tmp_path_factory: pytest.TempPathFactory, catalog: SchemaCatalog
) -> Iterator[Harness]:
    """The part of the stack at the other endpoint."""
    here = world.under_test
    assert isinstance(here, ReplicatingUnderTest), "it promises replication: see under_test.py"
    folder, lineage = tmp_path_factory.mktemp("there"), world.store.read().lineage
    harness = Harness(here.elsewhere(), folder, catalog, "there", lineage=lineage)
    harness.surround([POOL])
    yield harness
    harness.close()


@pytest.fixture(scope="module")
def running(world: Harness, there: Harness) -> Iterator[Sites]:
    made = Sites(world, there)
    yield made
    forget(world, made.machine)
    forget(world, made.disk)


@pytest.fixture
def sites(running: Sites) -> Iterator[Sites]:
    """A machine that runs and has written, of which there is nothing at the other endpoint."""
    running.write()
    yield running
    running.clear()


def ids(state: ReplicaState) -> list[str]:
    return [point.id for point in state.points]


@whoever_copies
def test_what_was_never_synchronised_has_no_points(sites: Sites) -> None:
    state = sites.state()
    assert ((), False, False) == (state.points, state.in_step, state.staged)


def test_each_synchronisation_takes_a_point_behind_the_others(sites: Sites) -> None:
    replica = sites.replica(keep=3)
    taken: list[Point] = []
    for _ in range(3):
        sites.write()
        taken.append(sites.synchronise(replica))
        assert taken == list(sites.state(replica).points)
    assert sorted({point.id for point in taken}) == [point.id for point in taken]


def test_a_point_is_no_older_than_it_says(sites: Sites) -> None:
    before = sites.here.clock.now()
    point = sites.synchronise(sites.replica())
    assert point.taken is not None
    assert before <= point.taken <= sites.here.clock.now()


def test_the_oldest_points_go(sites: Sites) -> None:
    replica = sites.replica(keep=2)
    taken = [sites.synchronise(replica).id for _ in range(3)]
    assert taken[1:] == ids(sites.state(replica))


def test_only_what_differs_is_moved(sites: Sites) -> None:
    replica = sites.replica(keep=2)
    sites.synchronise(replica)
    sites.write()
    sites.synchronise(replica)
    assert sites.state(replica).moved < SIZE


def test_a_point_has_what_was_on_the_disk_then(sites: Sites) -> None:
    replica = sites.replica(keep=2)
    content = sites.write()
    point = sites.synchronise(replica)
    assert content != sites.write()
    sites.synchronise(replica)
    assert content == sites.received(sites.promote(replica, point.id))


@whoever_copies
def test_a_stopped_machine_is_replicated_too(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    content = sites.write()
    sites.power("stopped")
    try:
        sites.synchronise(replica)
    finally:
        sites.power("running")
    assert content == sites.received(sites.promote(replica))


@whoever_copies
def test_what_no_agent_brought_to_rest_is_not_called_quiesced(sites: Sites) -> None:
    assert not sites.synchronise(sites.replica(quiesce=True)).quiesced


def test_promoted_disks_are_ordinary_and_the_replica_is_no_more(sites: Sites) -> None:
    replica = sites.replica(keep=2)
    sites.synchronise(replica)
    content = sites.write()
    sites.synchronise(replica)
    outcome = sites.promote(replica)
    found = sites.there.observe(sites.disk)
    assert isinstance(found, Present)
    assert outcome.external_id == found.external_id
    assert sites.there.resource(sites.disk).stamp.lineage == (found.owner and found.owner.lineage)
    assert SIZE == found.spec["size"]
    assert content == sites.received(outcome)
    assert () == sites.state(replica).points


@whoever_copies
def test_promoting_again_gives_the_same(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    outcome = sites.promote(replica)
    assert outcome.external_id == sites.promote(replica).external_id


@whoever_copies
def test_a_point_that_is_not_there_is_refused(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    for call in (sites.promote, sites.stage):
        with pytest.raises(Terminal):
            call(replica, "no-such-point")


def test_discarding_leaves_nothing(sites: Sites) -> None:
    before = sites.seen_there()
    replica = sites.replica(keep=2)
    sites.synchronise(replica)
    sites.synchronise(replica)
    for _ in range(2):
        sites.discard(replica)
    assert before == sites.seen_there()
    assert () == sites.state(replica).points


def test_a_drill_leaves_the_primary_and_the_replication_alone(sites: Sites) -> None:
    replica = sites.replica(keep=1)
    point = sites.synchronise(replica)
    picture = sites.here.under_test.outside.picture(*sites.machine)
    content = sites.content()
    staged = sites.stage(replica)
    assert content == sites.received(staged)
    state = sites.state(replica)
    assert state.staged
    assert state.staged_on is not None
    assert point.id == state.staged_on.id
    assert picture == sites.here.under_test.outside.picture(*sites.machine)
    assert content == sites.content()
    sites.write()
    newer = [sites.synchronise(replica).id for _ in range(2)]
    assert [point.id, newer[-1]] == ids(sites.state(replica))
    sites.unstage(replica)
    last = sites.synchronise(replica).id
    assert ([last], False) == (ids(sites.state(replica)), sites.state(replica).staged)


@whoever_copies
def test_staging_and_unstaging_again_gives_the_same(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    before = sites.seen_there()
    assert sites.stage(replica).external_id == sites.stage(replica).external_id
    for _ in range(2):
        sites.unstage(replica)
    assert before == sites.seen_there()


@whoever_copies
def test_what_a_drill_writes_reaches_no_point(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    content = sites.content()
    staged = sites.stage(replica)
    with sites.drill(staged) as machine:
        sites.write_in_drill(machine)
        assert content != sites.received(staged)
    sites.unstage(replica)
    assert content == sites.received(sites.promote(replica))


def test_a_continuous_replica_gets_every_write(sites: Sites) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    point = sites.synchronise(replica)
    assert point.taken is None
    assert ([point.id], True) == (ids(sites.state(replica)), sites.state(replica).in_step)
    content = sites.write()
    sites.suspend(replica)
    assert not sites.state(replica).in_step
    assert content == sites.received(sites.promote(replica))


def test_nothing_is_promoted_while_writes_arrive(sites: Sites) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    with pytest.raises(Terminal):
        sites.promote(replica)
    assert sites.state(replica).in_step


def test_nothing_arrives_after_a_suspension(sites: Sites) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    content = sites.content()
    for _ in range(2):
        sites.suspend(replica)
    sites.write()
    assert content == sites.received(sites.promote(replica))


def test_a_suspended_replica_can_go_on(sites: Sites) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    sites.suspend(replica)
    sites.write()
    sites.synchronise(replica)
    content = sites.write()
    sites.suspend(replica)
    assert content == sites.received(sites.promote(replica))


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_what_was_received_outlives_the_source(sites: Sites, way: Way) -> None:
    replica = sites.replica(way)
    content = sites.content()
    sites.synchronise(replica)
    if way is Way.CONTINUOUS:
        content = sites.write()
    with sites.here.under_test.cut_off():
        for _ in range(2):
            sites.suspend(replica, from_source=False)
        assert not sites.state(replica).in_step
        assert content == sites.received(sites.promote(replica))


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_a_seeded_replica_begins_with_the_disk_that_is_there(sites: Sites, way: Way) -> None:
    sites.synchronise(sites.replica())
    old = sites.promote(sites.replica())
    content = sites.write()
    replica = sites.replica(way, seeded=True)
    sites.synchronise(replica)
    assert isinstance(sites.there.observe(sites.disk), Absent)
    state = sites.state(replica)
    assert 1 == len(state.points)
    assert state.moved < SIZE
    sites.suspend(replica)
    new = sites.promote(replica)
    assert old.external_id == new.external_id
    assert content == sites.received(new)


def test_without_a_disk_to_begin_with_a_seeded_replica_is_like_any_other(sites: Sites) -> None:
    replica = sites.replica(seeded=True)
    point = sites.synchronise(replica)
    assert [point.id] == ids(sites.state(replica))
    assert sites.content() == sites.received(sites.promote(replica))


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_the_disk_that_a_replica_begins_with_is_a_point_until_there_is_a_newer_one(
    sites: Sites, way: Way
) -> None:
    before = sites.here.clock.now()
    sites.synchronise(sites.replica())
    sites.promote(sites.replica())
    sites.write()
    replica = sites.replica(way, seeded=True, keep=3)
    with sites.broken_off():
        sites.synchronise(replica)
    state = sites.state(replica)
    (seed,) = state.points
    assert state.problem
    # A promoted disk that no guest has written to is as old as what it was promoted from.
    assert seed.taken is None or abs((seed.taken - before).total_seconds()) < 60
    newer = sites.synchronise(replica)
    assert [newer.id] == ids(sites.state(replica))
    assert seed.id < newer.id
    sites.suspend(replica)
    assert sites.content() == sites.received(sites.promote(replica))


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_the_disk_comes_back_if_there_is_never_a_newer_one(sites: Sites, way: Way) -> None:
    sites.synchronise(sites.replica())
    old = sites.promote(sites.replica())
    content = sites.received(old)
    sites.write()
    with sites.broken_off():
        sites.synchronise(sites.replica(way, seeded=True))
    sites.suspend(sites.replica(way), from_source=False)
    again = sites.promote(sites.replica(way), sites.state().points[0].id)
    assert (old.external_id, content) == (again.external_id, sites.received(again))
    assert () == sites.state().points


def test_a_promotion_that_broke_off_is_gone_on_with(sites: Sites) -> None:
    replica = sites.replica()
    point = sites.synchronise(replica)
    content = sites.content()
    with sites.broken_off():
        sites.promote(replica)
    assert [point.id] == ids(sites.state(replica))
    sites.suspend(replica, from_source=False)
    sites.unstage(replica)
    assert content == sites.received(sites.promote(replica, point.id))
    assert () == sites.state(replica).points


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_a_promotion_that_broke_off_becomes_a_replica_where_that_is_asked_for(
    sites: Sites, way: Way
) -> None:
    sites.synchronise(sites.replica())
    with sites.broken_off():
        sites.promote(sites.replica())
    content = sites.write()
    with pytest.raises(Terminal):
        sites.synchronise(sites.replica(way))
    replica = sites.replica(way, seeded=True)
    sites.synchronise(replica)
    assert isinstance(sites.there.observe(sites.disk), Absent)
    assert 1 == len(sites.state(replica).points)
    sites.suspend(replica)
    assert content == sites.received(sites.promote(replica))


def test_a_disk_in_use_does_not_become_a_replica(sites: Sites) -> None:
    sites.synchronise(sites.replica())
    outcome = sites.promote(sites.replica())
    content = sites.received(outcome)
    with sites.drill(outcome), pytest.raises(Terminal):
        sites.synchronise(sites.replica(seeded=True))
    assert content == sites.received(outcome)


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_a_promoted_disk_is_overwritten_by_no_synchronisation_that_was_not_told_to(
    sites: Sites, way: Way
) -> None:
    replica = sites.replica(way)
    sites.synchronise(replica)
    sites.suspend(replica)
    promoted = sites.promote(replica)
    before, content = sites.seen_there(), sites.received(promoted)
    source = sites.here.under_test.outside.picture(*sites.machine)
    sites.write()
    for again in (Way.INCREMENTAL, Way.CONTINUOUS):
        with pytest.raises(Terminal):
            sites.synchronise(sites.replica(again))
    assert content == sites.received(promoted)
    assert before == sites.seen_there()
    assert () == sites.state(replica).points
    assert source == sites.here.under_test.outside.picture(*sites.machine)


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_a_disk_that_is_there_refuses_a_synchronisation_and_not_only_what_comes_of_it(
    sites: Sites, way: Way
) -> None:
    with sites.receiver() as receiver:
        receiver.create(sites.replica().disks[sites.disk], sites.there.deadline())
    before = sites.seen_there()
    with pytest.raises(Terminal):
        sites.synchronise(sites.replica(way))
    assert (before, ()) == (sites.seen_there(), sites.state(sites.replica(way)).points)


def test_a_disk_that_is_there_is_not_overwritten(sites: Sites) -> None:
    with sites.receiver() as receiver:
        made = receiver.create(sites.replica().disks[sites.disk], sites.there.deadline())
    content = sites.received(made)

    def overwrite() -> None:
        sites.synchronise(sites.replica())
        sites.promote(sites.replica())

    with pytest.raises(Terminal):
        overwrite()
    assert content == sites.received(made)


def test_a_machine_of_others_is_not_replicated(sites: Sites) -> None:
    before = sites.seen_there()
    theirs = replace(sites.replica(), machine=of_stranger(sites.replica().machine))
    with pytest.raises(Terminal):
        sites.synchronise(theirs)
    assert before == sites.seen_there()


def test_a_replica_of_others_is_left_alone(sites: Sites) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    theirs = replace(replica, machine=of_stranger(replica.machine))
    for call in (sites.promote, sites.stage, sites.discard):
        with pytest.raises(Terminal):
            call(theirs)
    assert 1 == len(sites.state(replica).points)
