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
_BARE = re.compile(
    r"'provisioner dr (?P<verb>answer|cancel|cleanup|failback|failover|reprotect|resume|rollback"
    r"|status)'"
)


@dataclass(frozen=True, slots=True)
class Commands:
    """``plan``: its name, empty where only the journal is known. ``of_plan``: options that only
    commands that read the plan have.
    """

    plan: str = ""
    options: tuple[str, ...] = ()
    of_plan: tuple[str, ...] = ()

    def __call__(self, verb: str, *arguments: str) -> str:
        """``provisioner dr VERB ...``, quoted for a shell."""
        words = ["provisioner", "dr", verb, *([self.plan] if self.plan else []), *arguments]
        words += self.options
        if verb in _NEED_THE_PLAN:
            words += self.of_plan
        return shlex.join(words)

    def completed(self, found: Diagnostic) -> Diagnostic:
        """A diagnostic of a step, whose hint names commands without knowing how they are called."""
        hint = _BARE.sub(lambda match: f"'{self(match['verb'])}'", found.hint)
        return replace(found, hint=hint)

    @property
    def ways(self) -> Ways:
        """For the messages of a journal."""
        return Ways(
            resume=f"'{self('resume')}'",
            cancel=f"'{self('cancel')}'",
            take_over=f"'{self('resume', '--take-over')}'",
            status=f"'{self('status')}'",
        )
