"""What stands in the way of a plan is told by the plan, and again before its first step."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine import preflight
from provisioner.engine.events import Noticed
from provisioner.engine.plan import Plan
from provisioner.providers.api import Context, Description, Endpoint, Terminal
from provisioner.providers.capabilities import PREFLIGHT, Undertaking
from provisioner_plugins.memory.session import MemorySession
from tests.unit.engine.world import Watched, WatchedSession, World, declare

POOL = declare("StoragePool/p", {"path": "/p"})
DISK = declare("Disk/d", {"pool": "p", "size": 1}, "StoragePool/p")


class CarefulSession(WatchedSession):
    """Notes what it is asked, and finds what the test says."""

    def __init__(self, inner: MemorySession, world: World, provider: Careful) -> None:
        super().__init__(inner, world)
        self._provider = provider

    def preflight(
        self, undertakings: Sequence[Undertaking], deadline: Deadline, *, thorough: bool
    ) -> Sequence[Diagnostic]:
        assert deadline.remaining() > 0
        if self._provider.hangs:
            self._provider.never.wait()
        asked = [
            f"{'create' if item.creates else 'remove' if item.removes else 'change'}"
            f" {item.resource.address}"
            for item in undertakings
        ]
        self.ask("preflight")
        self._provider.asked.append((thorough, asked))
        if self._provider.raises is not None:
            raise self._provider.raises
        return self._provider.found if thorough >= self._provider.only_thorough else ()


class Careful(Watched):
    """A provider whose sessions look ahead."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._watching = world
        self.asked: list[tuple[bool, list[str]]] = []
        self.found: tuple[Diagnostic, ...] = ()
        self.only_thorough = False
        self.raises: Exception | None = None
        self.hangs = False
        self.never = threading.Event()

    def describe(self) -> Description:
        description = super().describe()
        return replace(
            description,
            capabilities=description.capabilities | {PREFLIGHT},
            guarded=frozenset({"Disk"}),
        )

    def open(self, endpoint: Endpoint, context: Context) -> Any:
        return CarefulSession(self._inner.open(endpoint, context), self._watching, self)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provider = Careful(world)
    return world


def careful(world: World) -> Careful:
    assert isinstance(world.provider, Careful)
    return world.provider


WRONG = error("PRV5999", "the disk is too small", address="Disk/d", path=("size",))


def test_steps_are_looked_at_when_planned_and_before_they_are_carried_out(world: World) -> None:
    world.made(POOL, DISK)
    steps = ["create StoragePool/p", "create Disk/d"]
    assert [(False, steps), (True, steps)] == careful(world).asked


def test_where_nothing_is_to_be_done_nobody_is_asked(world: World) -> None:
    world.made(POOL)
    careful(world).asked.clear()
    world.plan(POOL)
    assert [] == careful(world).asked


def test_changes_are_told_from_creations(world: World) -> None:
    world.made(POOL, DISK)
    careful(world).asked.clear()
    world.plan(POOL, replace(DISK, spec={"pool": "p", "size": 2}))
    assert [(False, ["change Disk/d"])] == careful(world).asked


def test_removals_are_looked_at_where_the_provider_guards_the_kind(world: World) -> None:
    world.made(POOL, DISK)
    careful(world).asked.clear()
    world.plan()
    assert [(False, ["remove Disk/d"])] == careful(world).asked


def test_a_plan_that_cannot_succeed_is_refused(world: World) -> None:
    careful(world).found = (WRONG,)
    with pytest.raises(ProvisionerError) as refused:
        world.plan(POOL, DISK)
    (found,) = refused.value.diagnostics
    assert ("PRV5999", "made.yaml:1:1") == (found.code, str(found.source))


def test_what_only_a_thorough_look_finds_ends_the_apply_before_its_first_step(
    world: World,
) -> None:
    careful(world).found, careful(world).only_thorough = (WRONG,), True
    plan = world.plan(POOL, DISK)
    with pytest.raises(ProvisionerError) as refused:
        world.apply(plan)
    assert [WRONG] == list(refused.value.diagnostics)
    assert [] == world.calls
    assert {} == world.state().entries


def test_an_endpoint_that_cannot_be_asked_is_told(world: World) -> None:
    careful(world).raises = Terminal(error("PRV5999", "no answer"))
    with pytest.raises(ProvisionerError, match="no answer"):
        world.plan(POOL)


def test_an_endpoint_that_may_answer_later_is_asked_again(world: World) -> None:
    world.busy["preflight"] = 2
    world.plan(POOL)
    assert [(False, ["create StoragePool/p"])] == careful(world).asked
    notices = [event.text for event in world.events if isinstance(event, Noticed)]
    assert ["busy: preflight; trying again in 0 s"] * 2 == notices
    world.busy["preflight"] = 3
    with pytest.raises(ProvisionerError, match="busy: preflight"):
        world.plan(POOL)


IMPATIENT = {"provider": "memory", "limits": {"readTimeout": 50}}
RAISE = "raise limits.readTimeout"


def refusal(world: World, plan: Plan | None) -> Diagnostic:
    """What a plan, or applying one, says of a host that does not answer."""
    careful(world).hangs = True
    try:
        with pytest.raises(ProvisionerError) as refused:
            world.plan(POOL) if plan is None else world.apply(plan)
    finally:
        careful(world).never.set()
    (found,) = refused.value.diagnostics
    return found


def test_a_plan_waits_no_longer_than_the_host_says(world: World) -> None:
    world.hosts["here"] = replace(world.hosts["here"], spec=IMPATIENT)
    found = refusal(world, None)
    assert ("PRV3003", True) == (found.code, RAISE in found.hint)
    assert "Host/here: no answer after 0.05 s while looking ahead on here" == found.summary


def test_a_limit_that_nobody_can_raise_is_not_to_be_raised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files may be read for an hour before an apply, whatever the Host says of reading."""
    monkeypatch.setattr(preflight, "SECONDS", 0.05)
    monkeypatch.setattr(preflight, "GRACE_SECONDS", 0.05)
    plan = world.plan(POOL)
    found = refusal(world, plan)
    assert ("PRV3003", False) == (found.code, RAISE in found.hint)
    assert "no answer after 0.1 s" in found.summary
