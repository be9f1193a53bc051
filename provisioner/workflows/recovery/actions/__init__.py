"""What the tasks of recovery plans do, over sessions to the endpoints of both sites.

Called by :mod:`provisioner.service.recovery`, which hands the table to the runner. Every action
looks at the world to tell whether its work is done: a run that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provisioner.engine.sessions import Sessions
from provisioner.workflows.actions import Action, Actions
from provisioner.workflows.recovery.actions.checking import Checking
from provisioner.workflows.recovery.actions.copying import Copying, synchronise
from provisioner.workflows.recovery.actions.drilling import Drilling
from provisioner.workflows.recovery.actions.estate import Admit, Estate, admit_all
from provisioner.workflows.recovery.actions.marking import Marking
from provisioner.workflows.recovery.actions.powering import Powering
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.recovery.programs import Programs

__all__ = ["Estate", "recovery_actions", "synchronise"]


def recovery_actions(
    plan: RecoveryPlan,
    sessions: Sessions,
    *,
    mode: str,
    environ: Mapping[str, str],
    clean: Callable[[str], str] = lambda text: text,
    admit: Admit = admit_all,
    programs: Programs | None = None,
) -> Actions:
    """The actions of a plan's runbooks, by name. ``mode`` and ``environ`` are for the author's
    commands; ``clean`` takes secrets out of what they write, ``programs`` finds theirs; ``admit``:
    see :class:`Estate`.
    """
    estate = Estate(plan, sessions, admit)
    drilling = Drilling(estate)
    parts: list[Mapping[str, Action]] = [
        Marking(estate).actions(),
        Powering(estate).actions(),
        Copying(estate).actions(),
        drilling.actions(),
        Checking(
            estate, drilling, environ=environ, clean=clean, mode=mode, programs=programs
        ).actions(),
    ]
    return {name: action for part in parts for name, action in part.items()}
