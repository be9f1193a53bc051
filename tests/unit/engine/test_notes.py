"""What a step says of what waits for a restart: what was planned, in the plan's words."""

import pytest

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.engine.calls import _told
from provisioner.engine.plan import Known, Step
from provisioner.providers.api import Change, Outcome

KNOWN = Known(Address("VirtualMachine", "vm"), "lab", "vm", "uid", 0, {})


@pytest.mark.parametrize(
    ("pending", "told"),
    [
        ([("memory", "size"), ("memory", "max")], ["memory.size"]),
        ([("cdroms", "tools", "bus")], ["cdroms.tools.bus"]),
        ([("memory", "max")], ["memory.max"]),
        ([], []),
    ],
    ids=["not what else had to change", "below what changed", "never nothing", "nothing"],
)
def test_what_waits(pending: list[Path], told: list[str]) -> None:
    changes = (Change(("memory", "size"), 1, 2), Change(("cdroms", "tools"), None, {}))
    step = Step("VirtualMachine/vm", Action.UPDATE, KNOWN, "f", changes)
    assert told == list(_told(step, Outcome("id", {}, tuple(pending))))
