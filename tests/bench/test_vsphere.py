"""What is measured of plans on the vSphere simulator is what the goals need."""

import pytest

from tests.bench.process import Cost
from tests.lab.vcsim import Vcsim

pytest.importorskip("pyVmomi")
vsphere = pytest.importorskip("tests.bench.vsphere")
pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-calls")]


def test_each_goal_is_measured(
    vcsim_vcenter: Vcsim,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vsphere, "run", lambda *_: Cost(1.0, 2.0, 3.0))
    found = vsphere.Found()
    for size in (2, vsphere.OF_TERRAFORM):
        folder = tmp_path_factory.mktemp("estate")
        vsphere.Estate(vcsim_vcenter, folder, size, found, lambda _: None).live(1)
    assert None not in [goal.measured(found.samples) for goal in vsphere.goals([2])]
    phases = [phase for phase, size in found.samples if size == 2]
    assert phases == [row[0] for row in vsphere.request_rows(found)[1:] if row[1] == "2"]
