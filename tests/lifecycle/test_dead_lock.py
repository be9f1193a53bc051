"""The lock of a process that died is taken over, and the reader is told."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from provisioner.engine.events import Noticed
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.stacks import LAN

HOLD = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from tests.lifecycle.scenario import Scenario
with Scenario(Path(sys.argv[1]), new=False).workspace().store("test") as store:
    store.lock(f"ada@{os.uname().nodename} (process {os.getpid()})", "apply", timedelta(hours=1))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_dead_owner_does_not_keep_others_out(scenario: Scenario) -> None:
    scenario.declare(LAN)
    plan = scenario.plan()
    dead = subprocess.run(
        [sys.executable, "-c", HOLD, str(scenario.root)], cwd=Path(__file__).parents[2]
    )
    assert -signal.SIGKILL == dead.returncode
    with scenario.workspace().store("test") as store:
        holder = store.lock_holder()
    assert holder is not None
    assert timedelta(minutes=50) < holder.expires - holder.since
    assert "done" == scenario.apply(plan).outcome
    (notice,) = [event for event in scenario.events if isinstance(event, Noticed)]
    assert "ada@" in notice.text
