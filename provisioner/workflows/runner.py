"""Carries runbooks out: in the order of their needs, within their lanes, whatever happens.

Called by the use-cases of recovery, and by whatever else has work of many stages. How a run goes on
from task to task is :mod:`.course`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from provisioner.core.clock import Clock, SystemClock
from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.stop import StopSignal
from provisioner.workflows import refusals
from provisioner.workflows.actions import Actions
from provisioner.workflows.course import Course, Means
from provisioner.workflows.events import RunSink
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.limits import Limits
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import Run


class Runner:
    """Carries out one run at a time. ``expected``: seconds that tasks are likely to take, by their
    ids; those that nothing is known of count as one second. They decide what goes first.
    ``put_out``: why nothing more may be begun, whatever the journal says, or None; it is asked
    again and again, and waits for nothing.
    """

    def __init__(
        self,
        journal: Journal,
        actions: Actions,
        *,
        sink: RunSink,
        stop: StopSignal,
        clock: Clock | None = None,
        expected: Mapping[str, float] | None = None,
        limits: Limits | None = None,
        put_out: Callable[[], ProvisionerError | None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._means = Means(
            actions, sink, stop, clock or SystemClock(), expected or {}, limits or Limits(), put_out
        )

    def start(
        self,
        runbook: Runbook,
        actor: str,
        *,
        undoes: str | None = None,
        instead_of: str | None = None,
        consent: bool = False,
    ) -> Run:
        """Carry a runbook out, until its end or until it is stopped or cancelled; returns what the
        journal says then. ``undoes``, ``instead_of``, ``consent``: see :meth:`Journal.begin`.

        Raises ProvisionerError for a run that cannot begin (PRV7001, PRV7003, PRV7010), and where
        the journal cannot be written any more or another process has taken the run over (PRV7006
        to PRV7009), or where it was ``put_out``: then nothing more is begun, and it is raised when
        what was under way has ended.
        """
        self._check(runbook)
        begun = self._journal.begin(
            runbook, actor, undoes=undoes, instead_of=instead_of, consent=consent
        )
        return self._carry_out(begun.id)

    def resume(
        self,
        actor: str,
        *,
        consent: bool = False,
        adding: Callable[[Run], Iterable[Note]] | None = None,
        check: Callable[[Run], None] = lambda _: None,
    ) -> Run:
        """Go on with the last run: all that is not done is tried again, after a look whether it is,
        and so is what does not last (:class:`Remaining`). ``consent``, ``adding``: see
        :meth:`Journal.resume`; ``check``: raises ProvisionerError for a run that is not carried
        out, as the journal has it now. Raises like :meth:`start`, and PRV7002.
        """
        last = self._journal.last()
        if last is not None:
            self._check(self._journal.run(last.id).runbook)
        resumed = self._journal.resume(actor, consent=consent, adding=adding)
        return self._carry_out(resumed.id, check)

    def _check(self, runbook: Runbook) -> None:
        unknown = sorted({task.action for task in runbook.tasks} - self._means.actions.keys())
        if unknown:
            raise refusals.unknown_actions(runbook.name, unknown)

    def _carry_out(self, run: str, check: Callable[[Run], None] = lambda _: None) -> Run:
        try:
            found = self._journal.run(run)
            check(found)  # what is carried out, and not what was read before
        except ProvisionerError:
            with suppress(ProvisionerError):
                self._journal.leave(run)
            raise
        course = Course(self._journal, found, self._means)
        try:
            course.run()
        except BaseException:
            # While something is under way here, nobody else may go on: that waits for our death.
            if not course.is_at_work:
                with suppress(ProvisionerError):  # it is what is being raised already
                    self._journal.leave(run)
            raise
        return self._journal.run(run)
