"""A defect in carrying out a step, or in showing it, ends the run instead of hanging it."""

import time
from pathlib import Path

import pytest

from provisioner.engine.events import Event, StepFinished
from tests.unit.engine.world import World, declare

POOLS = tuple(declare(f"StoragePool/p{i}", {"type": "dir", "path": f"/{i}"}) for i in range(3))


def test_an_output_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    world = World(tmp_path)

    class Closed(list[Event]):
        def append(self, event: Event) -> None:
            if isinstance(event, StepFinished):
                raise BrokenPipeError("nobody reads this any more")

    world.events = Closed()
    began = time.monotonic()
    with pytest.raises(BrokenPipeError):
        world.apply(world.plan(*POOLS))
    assert 5 > time.monotonic() - began
    assert () == world.state().open_intents
    store = world.store()
    assert ["failed"] == [record.outcome for record in store.history()]
    store.close()
