"""Which of a machine and its former self is the real one, by what the hosts of both sites tell."""

from __future__ import annotations

from itertools import product

import pytest

from provisioner.workflows.recovery.actions.sighting import (
    Sighting,
    gives_way,
    is_at,
    may_have_run,
)

RUNS, OFF = Sighting("running", marked=False), Sighting("stopped", marked=False)
NOTHING, DISKS = Sighting("absent", marked=False), Sighting("absent", marked=False, disks=True)
PAUSED, BY_HAND = Sighting("suspended", marked=False), Sighting("running", marked=True)
STANDS_BY = Sighting("stopped", marked=True)
FOREIGN = Sighting("stopped", marked=False, foreign=True)
ALL = (RUNS, OFF, NOTHING, DISKS, PAUSED, BY_HAND, STANDS_BY)


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (OFF, OFF),
        (OFF, STANDS_BY),
        (OFF, NOTHING),
        (OFF, PAUSED),
        (RUNS, OFF),
        (RUNS, PAUSED),
        (BY_HAND, OFF),
        (STANDS_BY, STANDS_BY),
        (STANDS_BY, NOTHING),
        (STANDS_BY, DISKS),
        (DISKS, OFF),
        (DISKS, STANDS_BY),
    ],
)
def test_a_former_machine_does_not_give_way_where_it_may_hold_the_newest_data(
    former: Sighting, now: Sighting
) -> None:
    assert not gives_way(former, now)


def test_a_former_machine_gives_way_to_one_that_runs() -> None:
    assert all(gives_way(former, now) for former, now in product(ALL, (RUNS, BY_HAND)))


def test_a_former_machine_gives_way_to_one_that_is_off_if_it_alone_stands_by() -> None:
    assert (True, True) == (gives_way(STANDS_BY, OFF), gives_way(STANDS_BY, PAUSED))


def test_where_nothing_is_left_nothing_can_be_lost() -> None:
    assert all(gives_way(NOTHING, now) for now in ALL)


def test_what_gives_way_while_it_is_off_is_not_where_the_machine_is() -> None:
    for former, now in product(ALL, ALL):
        if gives_way(former, now) and not former.runs:
            assert not is_at(former, now)


def test_what_is_unmarked_over_there_may_have_run_unless_the_machine_runs_at_home() -> None:
    assert (True, True, False) == tuple(may_have_run(OFF, here) for here in (None, OFF, RUNS))
    assert all(may_have_run(there, RUNS) for there in (RUNS, PAUSED, BY_HAND))
    assert not any(may_have_run(there, OFF) for there in (NOTHING, DISKS, STANDS_BY, FOREIGN))
