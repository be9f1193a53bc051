"""The commands that messages name, as they have to be typed: for the plan, the files and the stack
that the present command was called with.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from provisioner.core.diagnostics import Diagnostic
from provisioner.workflows.refusals import Ways

_NEED_THE_PLAN = frozenset(
    {"test", "cleanup", "migrate", "failover", "reprotect", "failback", "resume", "rollback"}
)
"""Commands that read a stored plan, and not its journal alone."""
_READ_THE_PLAN = _NEED_THE_PLAN | {"check", "plan"}
_COPYING = frozenset({"run", "status", "watch"})
_BARE = re.compile(
    r"'provisioner (?:dr (?P<verb>answer|cancel|check|cleanup|failback|failover|plan|reprotect"
    r"|resume|rollback|status|test)(?: PLAN)?(?P<more>(?: failover)?"
    r"(?: --(?:allow-data-loss|running-at|with|without) [\w.-]+)*)"
    rf"|replicate (?P<copying>{'|'.join(sorted(_COPYING))}))'"
)
"""Commands as those name them who do not know how they are called; what has a name of its own is
left alone.
"""


@dataclass(frozen=True, slots=True)
class Commands:
    """``plan``: its name, empty where only the journal is known. ``of_plan``: options that only
    commands that carry the plan out have; ``reading``: those of all that read it.
    """

    plan: str = ""
    options: tuple[str, ...] = ()
    of_plan: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()

    def __call__(self, verb: str, *arguments: str) -> str:
        """``provisioner dr VERB ...``, quoted for a shell."""
        words = [*self._words("dr", verb), *arguments, *self.options]
        if verb in _READ_THE_PLAN:
            words += self.reading
        if verb in _NEED_THE_PLAN:
            words += self.of_plan
        return shlex.join(words)

    def copying(self, verb: str) -> str:
        """``provisioner replicate VERB ...``, quoted for a shell."""
        return shlex.join([*self._words("replicate", verb), *self.options, *self.reading])

    def _words(self, group: str, verb: str) -> list[str]:
        return ["provisioner", group, verb, *([self.plan] if self.plan else [])]

    def completed(self, found: Diagnostic) -> Diagnostic:
        """A diagnostic of a step, whose hint names commands without knowing how they are called."""
        return replace(found, hint=_BARE.sub(self._whole, found.hint))

    def _whole(self, match: re.Match[str]) -> str:
        if match["copying"] is not None:
            return f"'{self.copying(match['copying'])}'"
        return f"'{self(match['verb'], *match['more'].split())}'"

    @property
    def ways(self) -> Ways:
        """For the messages of a journal."""
        return Ways(
            resume=f"'{self('resume')}'",
            cancel=f"'{self('cancel')}'",
            take_over=f"'{self('resume', '--take-over')}'",
            status=f"'{self('status')}'",
            clear=f"'{self('cleanup')}'",
            end_unseen=f"'{self('cancel', '--take-over')}'",
            clear_unseen=f"'{self('cleanup', '--take-over')}'",
            fail_over=f"'{self('failover', '--take-over')}'",
        )
