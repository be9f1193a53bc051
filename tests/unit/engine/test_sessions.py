"""Whatever a plugin raises when a session is opened or closed is told like any other failure."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.redaction import Redactor
from provisioner.core.values import Secret
from provisioner.engine.cleaning import Unforeseen, cleaning
from provisioner.engine.events import Noticed
from provisioner.engine.sessions import provider_failure
from provisioner.providers.api import Context, Endpoint, Retryable
from tests.unit.engine.world import World, declare

POOL = declare("StoragePool/p", {"type": "dir", "path": "/p"})
SECONDS = 30
"""Longer than any test waits that succeeds."""
NO_SECRET = ProvisionerError(error("PRV1501", "the secret env://X is not set"))


@pytest.mark.parametrize(
    ("problem", "code"), [(KeyError("port"), "PRV5004"), (NO_SECRET, "PRV1501")]
)
def test_a_connection_that_fails_in_an_unforeseen_way(
    tmp_path: Path, problem: Exception, code: str
) -> None:
    world = World(tmp_path)

    def broken(endpoint: Endpoint, context: Context) -> Any:
        raise problem

    world.provider.open = broken  # type: ignore[method-assign]
    with pytest.raises(ProvisionerError) as caught:
        world.plan(POOL)
    assert [code] == [item.code for item in caught.value.diagnostics]


def test_a_defect_tells_where_it_is_and_no_values() -> None:
    redactor = Redactor()
    redactor.learn(Secret("hunter2", "env://PASSWORD"))
    words = "hunter2"
    with pytest.raises(Unforeseen) as caught, cleaning(redactor):
        raise KeyError(words)
    (found,) = provider_failure(caught.value, "opening").diagnostics
    assert "raise KeyError(words)" in found.trace
    assert words not in found.trace + found.detail


def test_a_logout_that_fails_changes_nothing_about_what_was_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.closing = KeyError("socket")
    assert "done" == world.apply(world.plan(POOL)).outcome


def test_sessions_are_closed_at_the_same_time(tmp_path: Path) -> None:
    """Each logout waits for the other one to have begun."""
    world = World(tmp_path)
    begun = threading.Barrier(2)
    met = []
    opened = world.provider.open

    def sociable(endpoint: Endpoint, context: Context) -> Any:
        session = opened(endpoint, context)
        session.close = lambda: met.append(begun.wait(SECONDS))
        return session

    world.provider.open = sociable  # type: ignore[method-assign]
    world.plan(POOL, declare("StoragePool/q", {"type": "dir", "path": "/q"}, host="there"))
    assert [0, 1] == sorted(met)


@pytest.mark.parametrize("call", ["open", "observe"])
def test_what_was_given_up_is_neither_tried_again_nor_told(tmp_path: Path, call: str) -> None:
    world = World(tmp_path)
    world.hosts["here"] = replace(
        world.hosts["here"], spec={"provider": "memory", "limits": {"readTimeout": 50}}
    )
    late = threading.Event()
    asked: list[threading.Thread] = []

    def busy(*_: Any) -> Any:
        asked.append(threading.current_thread())
        assert late.wait(SECONDS)
        raise Retryable(error("PRV5999", "busy"), after=0.0)

    if call == "open":
        world.provider.open = busy  # type: ignore[method-assign, assignment]
    else:
        opened = world.provider.open

        def slow(endpoint: Endpoint, context: Context) -> Any:
            session = opened(endpoint, context)
            session.observe = busy
            return session

        world.provider.open = slow  # type: ignore[method-assign]
    with pytest.raises(ProvisionerError, match="no answer"):
        world.plan(POOL)
    late.set()
    asked[0].join()
    notices = [event for event in world.events if isinstance(event, Noticed)]
    assert (1, []) == (len(asked), notices)
