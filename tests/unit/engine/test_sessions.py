"""Whatever a plugin raises when a session is opened or closed is told like any other failure."""

from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Context, Endpoint
from tests.unit.engine.world import World, declare

POOL = declare("StoragePool/p", {"type": "dir", "path": "/p"})
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


def test_a_logout_that_fails_changes_nothing_about_what_was_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.closing = KeyError("socket")
    assert "done" == world.apply(world.plan(POOL)).outcome
