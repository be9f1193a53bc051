"""The leases of a run at the hosts of both sites, so that a plan has one run at a time, whichever
journals they have.

Called by :mod:`provisioner.service.recovery.running` around each run. Every host that answers is
asked for the lease of the plan before the run begins; one that gives none then has to, before
anything is changed there. Where the provider has no leases nothing is asked.
"""

from __future__ import annotations

import json
import secrets
import shlex
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.patience import begun
from provisioner.engine.sessions import Sessions, about_host
from provisioner.providers.api import Retryable, Session, Terminal
from provisioner.providers.capabilities import LEASES, Lease, Leases, Taken
from provisioner.state.model import EndpointRecord
from provisioner.state.process import ProcessIdentity
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions.silence import PATIENCE, SILENCE
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.refusals import moment

HOLDING = 30.0
"""Seconds that a host has for giving a lease: putting a former holder out takes 20 at most."""
GRACE = 2.0
"""Seconds that hosts which a run can do without are waited for when all others have answered: those
of a site that is lost, mostly, and each second until the fencing counts as loss."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a lease: ``actor`` carries out a run of ``mode``, in ``process``, by a ``journal``
    (absolute). ``run``: its id, where it had one by then. ``token`` tells it from every other one.
    """

    mode: str
    actor: str
    journal: Path
    since: datetime
    run: str = ""
    process: ProcessIdentity = field(default_factory=ProcessIdentity.current)
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def text(self) -> str:
        """As hosts keep it: one line."""
        return json.dumps(
            {
                "mode": self.mode,
                "actor": self.actor,
                "journal": str(self.journal),
                "since": self.since.isoformat(),
                "run": self.run,
                "process": list(self.process),
                "token": self.token,
            }
        )

    @classmethod
    def of(cls, text: str) -> Claim | None:
        """The claim of :attr:`text`; None for what is none, as of another version."""
        try:
            told: Mapping[str, Any] = json.loads(text)
            return cls(
                str(told["mode"]),
                str(told["actor"]),
                Path(told["journal"]),
                datetime.fromisoformat(told["since"]),
                str(told["run"]),
                ProcessIdentity(*told["process"]),
                str(told["token"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass
class _Seat:
    """One host. ``lease``: the last that was given there. ``has_none``: it has no leases."""

    record: EndpointRecord
    gate: threading.Lock = field(default_factory=threading.Lock)
    lease: Lease | None = None
    has_none: bool = False
    asked: float | None = None
    """When it was last asked to give again what was lost."""

    def is_settled(self) -> bool:
        """Whether nothing is to be asked of it now."""
        return self.has_none or (self.lease is not None and not self.lease.lost)


class Tenure:
    """The leases of one run; a context manager. Safe to use from several threads.

    ``sites``: those whose hosts have to give their leases, or nothing is changed there; the others
    are only asked. ``consent``: somebody has made sure that no other run is carried out any more,
    where that cannot be seen from here.
    """

    def __init__(
        self,
        plan: RecoveryPlan,
        sessions: Sessions,
        claim: Claim,
        sites: Collection[str],
        *,
        consent: bool = False,
    ) -> None:
        self._plan = plan
        self._sessions = sessions
        self._text = claim.text
        self._sites = frozenset(sites)
        self._consent = consent
        self._here = claim.process
        self._seats = {name: _Seat(record) for name, record in sorted(plan.endpoints.items())}
        self._name = f"{plan.lineage}/{plan.name}"
        self._put_out: ProvisionerError | None = None
        self._is_over = False

    @property
    def sessions(self) -> Sessions:
        """The sessions to the hosts."""
        return self._sessions

    def __enter__(self) -> Tenure:
        """Ask all hosts at once, for :data:`PATIENCE` seconds; those that give no answer are told
        of, as are those that the run can do without and that have given none :data:`GRACE` seconds
        after the others: their leases may still come. Raises ProvisionerError (PRV7113) if another
        run holds the lease of one.
        """
        silent: list[str] = []
        refused: list[ProvisionerError] = []
        try:
            asked = {
                name: begun(partial(self._ask, seat), f"lease-{name}")
                for name, seat in self._seats.items()
            }
            wait([asked[name] for name in self._seats if self._is_needed(name)])
            wait(asked.values(), GRACE)
            for name, future in asked.items():
                try:
                    taken = future.result(0.0)
                except (ProvisionerError, TimeoutError):
                    silent.append(name)
                    continue
                if taken is not None:
                    refused.append(self._refusal(name, taken))
            if refused:
                raise refused[0]
        except BaseException:
            self._release()
            raise
        if silent:
            self._sessions.notice(
                f"{', '.join(silent)} gave no answer: whether another run of {self._plan.name} is "
                "under way there cannot be seen"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def admit(self, record: EndpointRecord, session: Session) -> None:
        """See that the run may change something at a host: its lease is held, or is given now.

        Raises ProvisionerError if it is another run's (PRV7113), or has become that (PRV7114), and
        Retryable or Terminal where a host that has to give it does not.
        """
        seat = self._seats.get(record.name)
        gone = self._put_out
        if gone is not None:
            raise gone
        if seat is None or seat.is_settled() or self._may_wait(seat):
            return
        try:
            with self._alone(seat):
                renews = seat.lease is not None
                taken = None if seat.is_settled() else self._sit(seat, session)
        except (Retryable, Terminal) as problem:
            seat.asked = self._sessions.clock.monotonic()
            if self._may_wait(seat):
                return
            raise _of_host(problem, record.name) from problem
        if taken is not None and renews:
            self._put_out = self._lost(record.name, taken)
            raise self._put_out
        if taken is not None:
            raise self._refusal(record.name, taken)

    def _may_wait(self, seat: _Seat) -> bool:
        """Whether nothing waits for this host, which gave no answer a moment ago: a site that is
        left may be half dead.
        """
        if self._is_needed(seat.record.name) or seat.asked is None:
            return False
        return self._sessions.clock.monotonic() - seat.asked < SILENCE

    def _is_needed(self, host: str) -> bool:
        return self._plan.site_of[host] in self._sites

    def put_out(self) -> ProvisionerError | None:
        """Why the run may begin nothing more: another one has taken a lease over (PRV7114). Waits
        for nothing: whose a lost one is becomes known soon after.
        """
        for seat in self._seats.values() if self._put_out is None else ():
            if seat.is_settled() or seat.lease is None:
                continue
            now = self._sessions.clock.monotonic()
            if seat.asked is None or now - seat.asked >= SILENCE:
                seat.asked = now
                begun(partial(self._again, seat), f"lease-{seat.record.name}")
        return self._put_out

    def _again(self, seat: _Seat) -> None:
        self.admit(seat.record, self._sessions.get(seat.record))

    def _ask(self, seat: _Seat) -> Taken | None:
        """Ask for the lease; returns who has it. Raises ProvisionerError where none is given."""
        provider = self._sessions.registry.get(seat.record.provider)
        if LEASES not in provider.describe().capabilities:
            seat.has_none = True
            return None

        def question(session: Session) -> Taken | None:
            with self._alone(seat):
                return self._sit(seat, session)

        doing = f"seeing that no other run of {self._plan.name} is under way"
        once = not self._is_needed(seat.record.name)
        return self._sessions.ask(seat.record, question, doing=doing, seconds=PATIENCE, once=once)

    def _sit(self, seat: _Seat, session: Session) -> Taken | None:
        if not isinstance(session, Leases):
            seat.has_none = True
            return None
        deadline = Deadline.after(HOLDING, self._sessions.clock)
        renews = seat.lease is not None
        name = f"{self._name}/{seat.record.name}"  # two Hosts may be one endpoint
        found = session.hold(name, self._text, deadline, renews=renews)
        if isinstance(found, Taken) and not renews and self._may_put_out(found.holder):
            found = session.hold(name, self._text, deadline, instead_of=found.holder)
        if isinstance(found, Taken):
            return found
        seat.lease, seat.has_none = found, found is None
        if self._is_over and found is not None:
            found.release()
        return None

    def _may_put_out(self, holder: str) -> bool:
        claim = Claim.of(holder)
        if holder == self._text:
            return True  # it was given when nobody waited for it any more
        if claim is None:
            return self._consent
        if claim.process.is_proven_dead(self._here):
            return True
        return self._consent and not claim.process.is_proven_alive(self._here)

    def _release(self) -> None:
        self._is_over = True
        held = [seat.lease for seat in self._seats.values() if seat.lease is not None]
        with ThreadPoolExecutor(max(1, len(held)), thread_name_prefix="lease") as pool:
            for lease in held:
                pool.submit(lease.release)

    @contextmanager
    def _alone(self, seat: _Seat) -> Iterator[None]:
        # One that hangs must not have others wait without end.
        if not seat.gate.acquire(timeout=HOLDING):
            raise Retryable(_hangs(seat.record.name), 5.0)
        try:
            yield
        finally:
            seat.gate.release()

    def _refusal(self, host: str, taken: Taken) -> ProvisionerError:
        claim = Claim.of(taken.holder)
        alive = claim is not None and claim.process.is_proven_alive(self._here)
        which = f"a {noun(claim.mode) if claim else 'run'} of {self._plan.name}"
        hint = "Wait until it has ended"
        if claim is not None:
            hint += f": {_command('status', claim)} follows it there"
        if claim is not None and alive:
            hint += f", or ask it to end: {_command('cancel', claim)}."
        else:
            hint += (
                ". If you have made sure that it is carried out no more, repeat the command with "
                "--take-over: should it live after all, it is put out, and changes nothing more."
            )
        return ProvisionerError(
            error(
                "PRV7113",
                f"{which} is under way already",
                detail=f"{about_host(host)} knows of it. {_told(taken, claim)}"
                + (" Its process lives on this machine." if alive else ""),
                hint=hint,
                address=about_host(host),
            )
        )

    def _lost(self, host: str, taken: Taken) -> ProvisionerError:
        claim = Claim.of(taken.holder)
        way = f": {_command('status', claim)}" if claim is not None else ""
        return ProvisionerError(
            error(
                "PRV7114",
                f"another run of {self._plan.name} has taken the place of this one",
                detail=f"{about_host(host)} has given it the lease of the plan. "
                f"{_told(taken, claim)} Nothing more is begun here.",
                hint=f"Look at that run{way}. What this one has not done is left undone.",
                address=about_host(host),
            )
        )


def _command(verb: str, claim: Claim) -> str:
    return f"'provisioner dr {verb} --journal {shlex.quote(str(claim.journal))}'"


def _of_host(problem: Retryable | Terminal, host: str) -> Retryable | Terminal:
    told = problem.diagnostic.about(about_host(host))
    return Retryable(told, problem.after) if isinstance(problem, Retryable) else Terminal(told)


def _told(taken: Taken, claim: Claim | None) -> str:
    if claim is None:
        return f"It says of itself: {taken.holder or 'nothing'}."
    run = f" Run {claim.run}." if claim.run else ""
    return (
        f"Carried out by {claim.actor} on {claim.process.host} (process {claim.process.pid}) since "
        f"{moment(claim.since)}, journal {claim.journal}.{run}"
    )


def _hangs(host: str) -> Diagnostic:
    return error(
        "PRV7115",
        f"{about_host(host)} does not say whether another run of the plan is under way",
        detail=f"It was asked for the lease of the plan {HOLDING:g} s ago.",
        hint="Look at the host.",
        address=about_host(host),
    )
