"""Making, writing and reading plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner import __version__
from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine import planfile
from provisioner.engine.beside import LedAway
from provisioner.engine.prepare import prepare_plan
from provisioner.engine.request import PlanOptions
from provisioner.engine.selection import Selection
from provisioner.service.model import EventSink, Plan, Stack, State
from provisioner.service.secrets import missing_secrets
from provisioner.service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PlanChoices:
    """What the person who asks for a plan chose. ``max_impact`` None: the stack's own policy."""

    target: tuple[AddressPattern, ...] = ()
    exclude: tuple[AddressPattern, ...] = ()
    max_impact: Impact | None = None
    consents: tuple[Address, ...] = ()
    adopt: tuple[AddressPattern, ...] = ()
    only_adopt: bool = False
    trusted_sites: tuple[str, ...] = ()

    def options(self, workspace: Workspace, *, destroy: bool) -> PlanOptions:
        """The same for the engine, with what it cannot know by itself."""
        return PlanOptions(
            destroy=destroy,
            selection=Selection(self.target, self.exclude),
            max_impact=self.max_impact,
            consents=self.consents,
            adopt=self.adopt,
            only_adopt=self.only_adopt,
            trusted_sites=self.trusted_sites,
            now=workspace.clock.now().isoformat(timespec="seconds"),
            tool_version=__version__,
        )


def make_plan(workspace: Workspace, choices: PlanChoices, sink: EventSink) -> Plan:
    """What apply would do to bring the endpoints to what the manifests say.

    Raises ProvisionerError with every problem found; nothing is changed in any case.
    """
    name, state = workspace.applied()
    stack = workspace.load(sink, state)
    missing = missing_secrets(stack, workspace.secrets)
    if name != stack.name:
        state = workspace.read_state(stack.name)
    return plan_of(
        workspace,
        stack,
        state,
        choices,
        sink,
        destroy=False,
        known=missing,
        away=away_of(workspace, stack, state, choices),
        led_away=led_away_of(workspace, stack, state, choices),
    )


def away_of(
    workspace: Workspace, stack: Stack, state: State, choices: PlanChoices
) -> Mapping[Address, str]:
    """What recovery plans have taken to another site, as their journals know, and why it is held.
    Raises ProvisionerError for a journal that cannot be read.
    """
    folder = _journals(workspace)
    if not folder.is_dir():
        return {}
    from provisioner.service.recovery.away import away  # noqa: PLC0415 - few stacks need it

    return away(folder, stack, state, choices.trusted_sites)


def led_away_of(
    workspace: Workspace, stack: Stack, state: State, choices: PlanChoices
) -> Mapping[Address, LedAway]:
    """The machines that recovery plans have led to another site, as their journals know, and that
    are to stay off here. Raises ProvisionerError for a journal that cannot be read.
    """
    folder = _journals(workspace)
    if not folder.is_dir():
        return {}
    from provisioner.service.recovery.away import led_away  # noqa: PLC0415 - few stacks need it

    return led_away(folder, stack, state, choices.trusted_sites)


def _journals(workspace: Workspace) -> Path:
    return workspace.state_path.parent / "recovery"


def plan_of(
    workspace: Workspace,
    stack: Stack | str,
    state: State,
    choices: PlanChoices,
    sink: EventSink,
    *,
    destroy: bool,
    known: Iterable[Diagnostic] = (),
    away: Mapping[Address, str] | None = None,
    led_away: Mapping[Address, LedAway] | None = None,
) -> Plan:
    """The plan for a stack that is loaded already, or of which only the name is known: then all
    that is recorded is to go. What is ``known`` to be wrong is reported with what is found. What
    is ``away`` is held, and what was ``led_away`` and runs here is warned of.
    """
    declared, name = (None, stack) if isinstance(stack, str) else (stack, stack.name)
    with workspace.sessions(sink) as sessions:
        return prepare_plan(
            declared,
            name,
            workspace.environment,
            state,
            sessions,
            rules=workspace.catalog,
            options=choices.options(workspace, destroy=destroy),
            sink=sink,
            known=known,
            away=away or {},
            led_away=led_away or {},
        )


def write_plan(workspace: Workspace, plan: Plan, path: Path) -> None:
    """Write a plan file that only its owner can read; raises ProvisionerError if that fails.

    A stack's first plan also makes its state: the file has to find there the lineage that it was
    made for, or it would fit no state, or any.
    """
    with workspace.store(plan.stack) as store:
        store.read()
    planfile.write(plan, path)


def read_plan(path: Path) -> Plan:
    """Read a plan file; raises ProvisionerError if it is none or was altered."""
    if _is_something_else(path):
        raise ProvisionerError(
            error(
                "PRV2022",
                f"{path} is not a plan file",
                detail="A plan file is one JSON document.",
                hint="Name the folder of a stack, or a plan file made with"
                " 'provisioner plan -o FILE'.",
            )
        )
    return planfile.read(path)


def _is_something_else(path: Path) -> bool:
    """Whether a file, a manifest say, does not even begin as a plan file does."""
    try:
        with path.open("rb") as stream:
            return not stream.read(1024).lstrip().startswith(b"{")
    except OSError:
        return False
