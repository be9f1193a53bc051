"""Fixtures of fault tests: the program itself, as in the lifecycle tests, and stacks on a vSphere
simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import vcsim as lab
from tests.lab.vcsim import Options, Vcsim
from tests.lifecycle.commandline import cli, shop

if TYPE_CHECKING:
    from tests.faults.vspherestack import VsphereStack

__all__ = ["cli", "own_vcsim", "shop", "stack"]


@pytest.fixture(scope="module")
def own_vcsim() -> Iterator[Vcsim]:
    """A vCenter without machines, for one module."""
    if reason := lab.unavailable():
        pytest.skip(reason)
    with Vcsim(Options(machines=0)) as simulator:
        yield simulator


@pytest.fixture
def stack(
    own_vcsim: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VsphereStack]:
    """A stack without resources on a vCenter without machines."""
    # The suite also runs where pyVmomi is not installed.
    from tests.faults.vspherestack import (  # noqa: PLC0415
        Outsider,
        VsphereStack,
        without_waiting,
    )

    without_waiting(monkeypatch)
    if not own_vcsim.runs():
        own_vcsim.start()
    yield VsphereStack(own_vcsim, tmp_path)
    if own_vcsim.runs():
        Outsider(own_vcsim).clear()
