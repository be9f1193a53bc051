"""A stack's folder as use-cases see it: where its manifests and its state are, and what sessions
are opened with.

Every use-case begins with a :class:`Workspace`. It holds what the caller decided (folder,
environment, variables) and what the caller brought from outside (the process's environment, the
clock, the name of whoever acts); nothing below reads any of that itself.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from provisioner.core.address import Address
from provisioner.core.clock import Clock, SystemClock
from provisioner.core.diagnostics import (
    Diagnostic,
    Diagnostics,
    ProvisionerError,
    Severity,
    error,
    quoted,
    warning,
)
from provisioner.core.redaction import Redactor
from provisioner.core.values import Json
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import endpoints_of
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import IgnoreRule, Stack
from provisioner.providers.registry import Registry
from provisioner.service.layout import NO_ENVIRONMENT, CachePlace, state_path
from provisioner.service.memories import memories
from provisioner.service.model import EventSink, PhaseStarted, State
from provisioner.service.secrets import ReferencedSecrets
from provisioner.state.database import recorded_stack
from provisioner.state.faults import translate
from provisioner.state.mark import Mark
from provisioner.state.sqlite import SqliteStore


class Workspace:
    """A folder with manifests, in one environment."""

    def __init__(
        self,
        folder: Path,
        environment: str | None = None,
        variables: Mapping[str, str] | None = None,
        *,
        environ: Mapping[str, str],
        actor: str = "",
        clock: Clock | None = None,
        registry: Registry | None = None,
        catalog: SchemaCatalog | None = None,
        cache: CachePlace | None = None,
        configuration: Path | None = None,
        redactor: Redactor | None = None,
        states: Path | None = None,
    ) -> None:
        """``catalog``: the installed schemas, unless given. Without ``cache`` all manifests are
        read, and sessions remember nothing. ``configuration`` is the user's own file, if there is
        one; ``redactor`` learns every secret that is resolved. ``states``: the folder of this
        stack's states, if that is not in ``folder``. Raises ProvisionerError (PRV6003, PRV6005) if
        there is no such folder or environment can be.
        """
        _check_folder(folder)
        if environment is not None:
            _check_environment(environment)
        self.root = folder
        self.environment = environment
        self.variables = dict(variables or {})
        self.actor = actor
        self.clock = clock or SystemClock()
        self.registry = registry or Registry()
        self.cache = cache
        self.states = states
        self.configuration = configuration
        self.environ = environ
        self.secrets = ReferencedSecrets(environ, self.root, configuration, redactor)
        self.catalog = catalog or SchemaCatalog.installed()
        self.lineage = uuid4()
        """What the state gets if this workspace makes it."""
        self.loaded: Stack | None = None
        """The stack as it was loaded last, for those who report where in it something stands."""
        self.notices = Diagnostics()
        """Warnings for the person, beside what a use-case returns."""
        self._warned: set[Diagnostic] = set()
        """What providers warned of: one run may open sessions several times."""

    @property
    def state_path(self) -> Path:
        """The state database of this stack in this environment."""
        return state_path(self.root, self.environment, self.states)

    @property
    def has_state(self) -> bool:
        """Whether something was recorded here; the file may be gone since, which the store then
        says. Raises ProvisionerError (PRV4009) if that cannot be told."""
        path = self.state_path
        try:
            return path.exists() or Mark.of(path).path.exists()
        except OSError as problem:
            raise translate(path, problem) from problem

    def load(self, sink: EventSink | None = None, state: State | None = None) -> Stack:
        """The stack of the folder; raises ProvisionerError with every error in its manifests.
        ``state``: what was applied, where that decides about what the manifests leave open."""
        # State commands and plan files work without manifests; they need not pay for YAML.
        from provisioner.manifest.cache import DocumentCache  # noqa: PLC0415
        from provisioner.manifest.loader import load  # noqa: PLC0415

        if sink is not None:
            sink(PhaseStarted("load"))
        known = None if self.cache is None else DocumentCache(*self.cache, self.root, self.catalog)
        try:
            stack = load(
                self.root,
                self.catalog,
                self.environment,
                self.variables,
                describe=lambda name: self.registry.get(name).describe(),
                recorded=lambda address: _outputs(state, address),
                known=known,
            )
        finally:
            if known is not None:
                known.save()
        self.loaded = self._with_expired_rules(stack)
        return self.loaded

    def _with_expired_rules(self, stack: Stack) -> Stack:
        """The stack, warning of rules about drift that count no more: who reviews it shall see it,
        not only who looks for drift.
        """
        today = self.clock.now().date()
        gone = [
            replace(expired(rule), severity=Severity.WARNING)
            for rule in stack.ignore
            if rule.until < today
        ]
        return replace(stack, warnings=tuple(stack.in_order([*stack.warnings, *gone])))

    @contextmanager
    def store(self, stack: str) -> Iterator[SqliteStore]:
        """The state of the stack called ``stack``, closed at the end; made at its first use if
        there is none."""
        store = SqliteStore(
            self.state_path,
            stack=stack,
            environment=self.environment,
            clock=self.clock,
            new_lineage=lambda: self.lineage,
        )
        try:
            yield store
        finally:
            store.close()

    def read_state(self, stack: str) -> State:
        """What is recorded of the stack; nothing is made where nothing was recorded yet."""
        if not self.has_state:
            return State(lineage=self.lineage, serial=0, entries={})
        with self.store(stack) as store:
            return store.read()

    def applied(self) -> tuple[str | None, State]:
        """What is recorded here and of which stack; None, and nothing, if that cannot be told."""
        name = recorded_stack(self.state_path) if self.has_state else None
        if name is None:
            return None, State(lineage=self.lineage, serial=0, entries={})
        return name, self.read_state(name)

    @contextmanager
    def recorded_store(self) -> Iterator[SqliteStore]:
        """The state that is there, whatever the manifests look like; they are read only if it does
        not say whose it is."""
        with self.store(self.stack_name()) as store:
            yield store

    def stack_name(self) -> str:
        """The stack's name as state has it, or where there is no readable state, as the manifests
        do."""
        return recorded_stack(self.state_path) or self.load().name

    def require_state(
        self, hint: str = "Name the stack's folder and its environment (--env), or apply it first."
    ) -> None:
        """Raise ProvisionerError (PRV6004) if nothing was recorded here yet."""
        if not self.has_state:
            raise ProvisionerError(
                error(
                    "PRV6004",
                    "there is no state here: nothing has been applied yet",
                    detail=f"Expected it in {self.state_path}.",
                    hint=hint,
                )
            )

    def with_declared_hosts(self, state: State) -> State:
        """The state with its endpoints as the Host manifests describe them now; where the manifests
        have errors as they were recorded, with a warning in :attr:`notices`.
        """
        stack = self.load_if_sound()
        return state if stack is None else replace(state, endpoints=endpoints_of(stack, state))

    def load_if_sound(self, state: State | None = None, otherwise: str = "") -> Stack | None:
        """The stack of the folder; None if its manifests have errors, with a warning in
        :attr:`notices` that says what comes of that: hosts are reached as at the last apply, and
        what ``otherwise`` adds.
        """
        try:
            return self.load(None, state)
        except ProvisionerError:
            self.notices.add(
                warning(
                    "PRV6015",
                    "the manifests have errors: hosts are reached as at the last apply" + otherwise,
                    hint="'provisioner validate' shows the errors.",
                )
            )
            return None

    def sessions(self, sink: EventSink) -> Sessions:
        """Sessions to this stack's endpoints; a context manager that closes them."""
        return Sessions(
            self.registry,
            root=self.root,
            clock=self.clock,
            secrets=self.secrets,
            redactor=self.secrets.redactor,
            sink=sink,
            memories=None if self.cache is None else memories(self.cache, self.root),
            warned=self._warned,
        )


def expired(rule: IgnoreRule) -> Diagnostic:
    """What is said of a rule about drift whose last day is over."""
    return error(
        "PRV2101",
        f"the rule that ignores {rule.field} of {rule.address} expired on {rule.until}",
        detail=f"Its reason was: {rule.reason}",
        hint="Remove it and apply, or find out whether its reason still holds and "
        "give it a later date.",
        source=rule.source,
    )


def _outputs(state: State | None, address: Address) -> Mapping[str, Json]:
    entry = state.entries.get(address) if state is not None else None
    return entry.outputs if entry is not None else {}


def _check_folder(folder: Path) -> None:
    try:
        what = "" if stat.S_ISDIR(folder.stat().st_mode) else "is not a folder"
    except FileNotFoundError:
        what = "does not exist"
    except (OSError, ValueError) as problem:
        what = f"cannot be looked at: {getattr(problem, 'strerror', None) or problem}"
    if what:
        raise ProvisionerError(
            error(
                "PRV6003",
                f"{quoted(str(folder))} {what}",
                hint="Name the folder of a stack, or make one with 'provisioner init'.",
            )
        )


def _check_environment(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) or name == NO_ENVIRONMENT:
        raise ProvisionerError(
            error(
                "PRV6005",
                f"{quoted(name)} is not a valid name for an environment",
                detail=f"Expected letters, digits and '-'; {NO_ENVIRONMENT!r} stands for none.",
                hint="The stack's manifest names its environments (spec.environments).",
            )
        )
