"""A session that ends at any call of an apply that makes one of each sort of things on vSphere: it
is logged in again, everything is made once, and nothing is left to do.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

from tests.faults.vspherestack import Outsider, VsphereStack, without_waiting

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("vsphere-faults"),
]

MOST = 250
CALLS = {"some": ".*", "sweep": "DestroyView", "each": ".*"}
SAMPLE, SWEEPS = range(10, 90, 20), (6, 9)
"""Calls at which the session ends, and ends of sweeps; --slow takes every call."""


def resources(vcsim: Vcsim, raw: Path, end: str) -> dict[str, Any]:
    """A pool, a network, a folder, an image, a disk and a machine, whose names end so."""
    pool, folder, network = f"pool{end}", f"front{end}", f"net{end}"
    return {
        f"StoragePool/{pool}": {"type": "dir", "path": str(vcsim.directory / pool)},
        f"Network/{network}": {"mode": "isolated"},
        f"Folder/{folder}": {},
        f"Image/golden{end}": {"pool": pool, "source": {"file": str(raw)}, "format": "raw"},
        f"Disk/data{end}": {"pool": pool, "size": "1MiB"},
        f"VirtualMachine/web{end}": {
            "memory": {"size": "64MiB"},
            "placement": {"folder": folder},
            "disks": [{"disk": f"data{end}"}],
            "nics": [{"name": "lan", "network": network}],
        },
    }


class Attempts:
    """Applies of such stacks, each in a folder and under names of its own."""

    def __init__(self, vcsim: Vcsim, root: Path) -> None:
        self._vcsim = vcsim
        self._root = root
        self._raw = root / "golden.raw"
        self._raw.write_bytes(bytes(2**20))

    def hit(self, sort: str, number: int) -> bool:
        """Apply one, in which the session ends before the n-th of a sort of calls; whether
        there was one.
        """
        end = f"-{sort}-{number}"
        folder = self._root / end
        folder.mkdir()
        stack = VsphereStack(self._vcsim, folder)
        stack.declare(resources(self._vcsim, self._raw, end))
        with self._vcsim.fault(CALLS[sort], Act.EXPIRE, skip=number) as rule:
            ended = stack.apply()
            hit = rule.hits > 0
        assert ("done", []) == (ended.outcome, ended.codes), f"call {number}: {ended}"
        assert [] == stack.steps(), f"call {number}"
        stack.verify()
        names = Counter(Outsider(self._vcsim).names())
        for name in (f"{word}{end}" for word in ("pool", "net", "front", "web")):
            assert 1 == names[name], f"call {number}"
        return hit


@pytest.fixture
def attempts(own_vcsim: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    without_waiting(monkeypatch)
    return Attempts(own_vcsim, tmp_path)


@pytest.mark.parametrize(
    ("sort", "number"),
    [*(("some", number) for number in SAMPLE), *(("sweep", number) for number in SWEEPS)],
)
def test_some_call(attempts: Attempts, sort: str, number: int) -> None:
    assert attempts.hit(sort, number)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_call(attempts: Attempts) -> None:
    for number in range(MOST):
        if not attempts.hit("each", number):
            assert number > SAMPLE[-1]
            return
    raise AssertionError(f"more than {MOST} calls")
