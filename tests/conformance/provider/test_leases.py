"""The capability Leases, for the providers that promise it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.capabilities import LEASES, Lease, Leases, Taken
from tests.conformance.provider import leaseheld
from tests.conformance.provider.harness import Harness
from tests.conformance.provider.under_test import ProviderUnderTest

CAPABILITY = LEASES
US, THEM = '{"who": "us", "why": "a \\\\ b"}', "them"
ROOT = Path(leaseheld.__file__).parents[3]
NAMES = (f"lineage/plan-{number}" for number in count(1))


@pytest.fixture(scope="module")
def world(
    under_test: ProviderUnderTest, tmp_path_factory: pytest.TempPathFactory, catalog: SchemaCatalog
) -> Iterator[Harness]:
    """A stack with nothing in it."""
    harness = Harness(under_test, tmp_path_factory.mktemp("stack"), catalog, "first")
    yield harness
    harness.close()


class Callers:
    """Callers of one lease, each with a session of its own."""

    def __init__(self, world: Harness, name: str, stack: ExitStack) -> None:
        self._world, self.name, self._stack = world, name, stack

    @contextmanager
    def session(self) -> Iterator[Any]:
        session = self._world.session()
        assert isinstance(session, Leases)
        yield session
        session.close()

    def hold(self, holder: str, **how: Any) -> Lease | Taken:
        session = self._stack.enter_context(self.session())
        return self.ask(session, holder, **how)

    def ask(self, session: Any, holder: str, **how: Any) -> Lease | Taken:
        found: Lease | Taken | None = session.hold(self.name, holder, self._world.deadline(), **how)
        assert found is not None
        return found

    def held(self, holder: str, **how: Any) -> Lease:
        found = self.hold(holder, **how)
        assert not isinstance(found, Taken)
        return found


@pytest.fixture
def callers(world: Harness) -> Iterator[Callers]:
    with ExitStack() as stack:
        yield Callers(world, next(NAMES), stack)


def test_one_at_a_time_holds_it_and_others_are_told_who(callers: Callers) -> None:
    lease = callers.held(US)
    assert (Taken(US), False) == (callers.hold(THEM), lease.lost)


def test_other_names_are_other_leases(world: Harness, callers: Callers) -> None:
    callers.held(US)
    with ExitStack() as stack:
        assert not Callers(world, next(NAMES), stack).held(THEM).lost


def test_once_released_another_one_has_it(callers: Callers) -> None:
    lease = callers.held(US)
    for _ in range(2):
        lease.release()
    assert lease.lost
    assert not callers.held(THEM).lost


def test_it_ends_with_the_session(callers: Callers) -> None:
    with callers.session() as session:
        callers.ask(session, US)
    assert not callers.held(THEM).lost


def test_it_ends_with_the_program(world: Harness, callers: Callers) -> None:
    connection = world.under_test.host.get("connection", {})
    name = world.provider.describe().name
    if name == "memory" and not connection:
        pytest.skip("the endpoint itself ends with the program")
    argv = [sys.executable, "-m", "tests.conformance.provider.leaseheld", name]
    argv += [json.dumps(connection), callers.name, US]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe) as program:
        assert program.stdout is not None
        assert b"held\n" == program.stdout.readline()
        assert Taken(US) == callers.hold(THEM)
        program.kill()
    # Whose program is known to be dead may be put out: it may end a moment later.
    assert not callers.held(THEM, instead_of=US).lost


def test_who_is_put_out_has_lost_it(callers: Callers) -> None:
    ours = callers.held(US)
    theirs = callers.held(THEM, instead_of=US)
    until_lost(ours)
    assert (Taken(THEM), False) == (callers.hold(US), theirs.lost)


def test_nobody_but_the_holder_who_is_meant_is_put_out(callers: Callers) -> None:
    lease = callers.held(US)
    assert (Taken(US), False) == (callers.hold(THEM, instead_of="others"), lease.lost)


def test_it_is_renewed_where_nobody_has_held_it_since(callers: Callers) -> None:
    callers.held(US).release()
    assert not callers.held(US, renews=True).lost


def test_it_is_not_renewed_once_another_one_has_held_it(callers: Callers) -> None:
    callers.held(US)
    callers.held(THEM, instead_of=US).release()
    assert Taken(THEM) == callers.hold(US, renews=True)


def test_releasing_what_is_lost_takes_it_from_nobody(callers: Callers) -> None:
    ours = callers.held(US)
    theirs = callers.held(THEM, instead_of=US)
    ours.release()
    assert (Taken(THEM), False) == (callers.hold(US), theirs.lost)


def until_lost(lease: Lease) -> None:
    """What has ended it gets here a moment later, through a connection."""
    never, tries = Event(), 0
    while not lease.lost and tries < 500:
        tries += not never.wait(0.02)
    assert lease.lost
