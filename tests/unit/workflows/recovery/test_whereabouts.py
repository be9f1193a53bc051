"""What follows from what hosts tell of machines: which way a plan leads, or that it is unknown."""

from __future__ import annotations

from itertools import product

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.recovery.actions.sighting import Sighting
from provisioner.workflows.recovery.whereabouts import Whereabouts, site_told
from tests.unit.workflows.recovery.plans import A, B, machine_address, plan_of, planned

RUNS, OFF = Sighting("running", marked=False), Sighting("stopped", marked=False)
ABSENT, PAUSED = Sighting("absent", marked=False), Sighting("suspended", marked=False)
STANDS_BY, BY_HAND = Sighting("stopped", marked=True), Sighting("running", marked=True)
SILENT = None
NAMES = ("db", "web")


def seen(*machines: tuple[Sighting | None, Sighting | None]) -> Whereabouts:
    """What the two sites tell of db and web; None where a site is silent."""
    told = {
        machine_address(name): {
            site: sighting
            for site, sighting in zip((A, B), sightings, strict=True)
            if sighting is not None
        }
        for name, sightings in zip(NAMES, machines, strict=True)
    }
    return Whereabouts(plan_of([planned(name) for name in NAMES]), told, {})


@pytest.mark.parametrize(
    ("machines", "site"),
    [
        (((RUNS, ABSENT), (RUNS, ABSENT)), A),
        (((RUNS, SILENT), (OFF, SILENT)), A),
        (((STANDS_BY, RUNS), (STANDS_BY, RUNS)), B),
        (((SILENT, RUNS), (SILENT, PAUSED)), B),
        (((STANDS_BY, SILENT), (STANDS_BY, SILENT)), B),
        (((STANDS_BY, OFF), (STANDS_BY, RUNS)), B),
        (((BY_HAND, ABSENT), (BY_HAND, ABSENT)), A),
        (((SILENT, SILENT), (SILENT, SILENT)), None),
        (((SILENT, ABSENT), (SILENT, ABSENT)), None),
        (((OFF, ABSENT), (OFF, ABSENT)), None),
        # A migration that was given up before anything was made at the other site.
        (((STANDS_BY, ABSENT), (STANDS_BY, ABSENT)), None),
        (((STANDS_BY, STANDS_BY), (OFF, OFF)), None),
    ],
)
def test_the_site_that_is_told(
    machines: tuple[tuple[Sighting | None, Sighting | None], ...], site: str | None
) -> None:
    assert site == site_told(seen(*machines), "ask")


def test_where_no_machine_is_at_the_target_the_other_site_changes_nothing() -> None:
    everything = (RUNS, OFF, ABSENT, PAUSED, STANDS_BY, BY_HAND, SILENT)
    away = [sighting for sighting in everything if sighting is not None and sighting.is_away]
    assert [ABSENT, STANDS_BY] == away
    for one, other in product(everything, repeat=2):
        for targets in product(away, repeat=2):
            found = seen((one, targets[0]), (other, targets[1]))
            assert site_told(found, "ask") in (A, None)


@pytest.mark.parametrize(
    ("machines", "summary"),
    [
        (((RUNS, ABSENT), (STANDS_BY, RUNS)), f"db at {A} and web at {B}"),
        (((RUNS, RUNS), (RUNS, ABSENT)), f"db, web at {A} and db at {B}"),
        (((SILENT, RUNS), (SILENT, ABSENT)), f"db at {B}, and not the others"),
        (((OFF, RUNS), (OFF, ABSENT)), f"db at {B}, and not the others"),
    ],
)
def test_what_cannot_be_told_is_refused_with_who_runs_where(
    machines: tuple[tuple[Sighting | None, Sighting | None], ...], summary: str
) -> None:
    with pytest.raises(ProvisionerError) as refused:
        site_told(seen(*machines), "name the site")
    (said,) = refused.value.diagnostics
    assert ("PRV7098", "name the site") == (said.code, said.hint)
    assert said.summary.endswith(f": {summary}")
    assert str(machine_address("web")) in said.detail
