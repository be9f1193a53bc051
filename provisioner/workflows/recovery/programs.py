"""The programs of a recovery plan that run on the machine that carries it out: fencing, steps,
health checks. Which they are, where they are found, and how a stored plan carries its own along.

A program that is named by a relative path counts from the folder of the stack, or of the stored
plan. What lies in the stack goes into the stored plan and is written to a private folder for a run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted, warning
from provisioner.workflows.recovery.model import Check, RecoveryPlan

MAX_BYTES = 1024 * 1024
"""Of a program that goes into a stored plan."""
COMMAND = "command"
_LONGEST_LINE = 256
"""Bytes of a script's first line that a kernel looks at."""
_WITH_NAME = 2
"""Words of a first line that has ``env`` look for an interpreter, without options."""


class Command(NamedTuple):
    """A command of a plan: for what it is, in words, and the address that it is about."""

    what: str
    address: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs of a plan are found: ``embedded`` ones where they were written to, by the
    names that commands have for them; relative paths in ``folder``; others as a shell would.
    """

    folder: Path = field(default_factory=Path)
    embedded: Mapping[str, Path] = field(default_factory=dict)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command as it is run."""
        name = argv[0]
        if name in self.embedded:
            return [str(self.embedded[name]), *argv[1:]]
        if _is_relative(name):
            return [str(self.folder.absolute() / name), *argv[1:]]
        return list(argv)

    def problem(self, argv: Sequence[str], environ: Mapping[str, str]) -> str:
        """Why a command could not be run; empty if it could."""
        name = self.argv(argv)[0]
        if "/" not in name:
            return "" if _in_path(name, environ) else "it is in no folder of PATH"
        if not _is_file(Path(name)):
            return f"there is no file {name}, or this user may not see it"
        if os.access(name, os.X_OK):
            return _interpreter_problem(Path(name), environ)
        if argv[0] in self.embedded:
            return f"nothing may be executed in {Path(name).parent}: set TMPDIR to another folder"
        return f"{name} is not executable"


def commands_of(plan: RecoveryPlan) -> Iterator[Command]:
    """All commands of a plan that run on the machine that carries it out."""
    about = f"RecoveryPlan/{plan.name}"
    checks: list[tuple[str, str, Check]] = [
        ("the fencing", about, check) for check in (plan.fencing.checks if plan.fencing else ())
    ]
    for step in plan.steps:
        machine = about if step.machine is None else str(step.machine)
        checks.append((f"the step {step.name}", machine, step.check))
    for planned in plan.machines:
        address = str(planned.address)
        checks += [(f"the health of {address}", address, check) for check in planned.gates]
        checks += [
            (f"the health of {needed} for {address}", address, check)
            for needed, edge in sorted(planned.edges.items())
            for check in edge
        ]
    for what, address, check in checks:
        argv = check.arguments.get("argv")
        if check.kind == COMMAND and isinstance(argv, list):
            yield Command(what, address, tuple(map(str, argv)))


def program_problems(
    plan: RecoveryPlan, programs: Programs, environ: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """The programs of a plan that could not be run here now, as a run looks for them."""
    for command in dict.fromkeys(commands_of(plan)):
        why = programs.problem(command.argv, environ)
        if why:
            yield error(
                "PRV7122",
                f"{command.what} needs the program {quoted(command.argv[0])}, which cannot be run "
                f"here: {why}",
                hint="Programs are looked for on the machine that carries the plan out: install "
                f"it there. Relative paths count from {programs.folder.absolute()}.",
                address=command.address,
            )


@contextmanager
def laid_out(plan: RecoveryPlan, folder: Path) -> Iterator[Programs]:
    """The programs of a plan, with those that it carries along written to a folder that only this
    user can read, and that is removed afterwards. Raises ProvisionerError (PRV7122) if that cannot
    be written.
    """
    if not plan.programs:
        yield Programs(folder)
        return
    try:
        place = tempfile.TemporaryDirectory(prefix="provisioner-", ignore_cleanup_errors=True)
    except OSError as problem:
        raise _not_written(plan, problem) from problem
    with place as private:
        try:
            written = dict(_written(plan.programs, Path(private)))
        except OSError as problem:
            raise _not_written(plan, problem) from problem
        yield Programs(folder, written)


def _written(programs: Mapping[str, bytes], folder: Path) -> Iterator[tuple[str, Path]]:
    for number, (name, content) in enumerate(sorted(programs.items()), 1):
        # Under its own name, which it may look at, and apart from others that have the same.
        path = folder / str(number) / Path(name).name
        path.parent.mkdir(mode=0o700)
        path.write_bytes(content)
        path.chmod(0o700)
        yield name, path


def embedding(plan: RecoveryPlan, folder: Path) -> tuple[RecoveryPlan, list[Diagnostic]]:
    """The plan with its programs that lie in ``folder``, that of its stack; and what of its
    commands has to be taken to where the plan is carried out by hand.
    """
    root, programs, found = folder.resolve(), {}, []
    for command in dict.fromkeys(commands_of(plan)):
        name = command.argv[0]
        try:
            content, why = _content(name, root)
        except OSError as problem:
            content, why = None, problem.strerror or str(problem)
        if content is not None:
            programs[name] = content
        elif why:
            found.append(_left_behind(command, f"the program {quoted(name)}", why))
        found += [
            _left_behind(command, f"the file {quoted(item)}", "only the program itself is")
            for item in command.argv[1:]
            if _is_file_within(root, item)
        ]
    return replace(plan, programs=programs), found


def _content(name: str, root: Path) -> tuple[bytes | None, str]:
    """What is to go into the plan, or why it does not; neither for programs of the system."""
    path = (root / name).resolve()
    inside = path.is_relative_to(root)
    if not _is_relative(name):
        absolute = "it is named by an absolute path; a relative one would be"
        return None, absolute if "/" in name and inside else ""
    if not inside:
        return None, "it lies outside the folder of the stack"
    if not path.is_file():
        return None, "there is no such file in the folder of the stack"
    if not os.access(path, os.X_OK):
        return None, "it is not executable"
    if path.stat().st_size > MAX_BYTES:
        return None, f"it has more than {MAX_BYTES // 1024} KiB"
    return path.read_bytes(), ""


def _is_file_within(root: Path, item: str) -> bool:
    """Whether an argument names a file of the stack: most are no paths, and of any length."""
    try:
        path = (root / item).resolve()
    except (OSError, ValueError):
        return False
    return path.is_relative_to(root) and _is_file(path)


def _is_file(path: Path) -> bool:
    """Whether it is one that this user sees."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _left_behind(command: Command, what: str, why: str) -> Diagnostic:
    return warning(
        "PRV7122",
        f"{what} of {command.what.removeprefix('the ')} is not in the stored plan: {why}",
        hint="Copy it to where the plan is carried out: relative paths of programs count from the "
        "folder of the stored plan. 'dr check --from' there tells whether it is found.",
        address=command.address,
    )


def _not_written(plan: RecoveryPlan, problem: OSError) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7122",
            f"the programs of {plan.name} cannot be written to a private folder",
            detail=str(problem),
            hint="TMPDIR names the folder for what lasts only for a run.",
        )
    )


def _in_path(name: str, environ: Mapping[str, str]) -> bool:
    places = os.pathsep.join(os.get_exec_path(environ))
    return shutil.which(name, path=places) is not None


def _interpreter_problem(script: Path, environ: Mapping[str, str]) -> str:
    """Why the interpreter that a script names cannot run it; empty if it can, or names none."""
    try:
        with script.open("rb") as file:
            first = file.readline(_LONGEST_LINE)
    except OSError:
        return ""  # whoever may execute it need not be able to read it
    words = first.removeprefix(b"#!").decode("utf-8", "replace").split()
    if not first.startswith(b"#!") or not words:
        return ""
    interpreter = words[0]
    if not os.access(interpreter, os.X_OK):
        return f"there is no {interpreter}, which its first line names"
    wanted = words[1] if len(words) == _WITH_NAME and Path(interpreter).name == "env" else ""
    if wanted and not _in_path(wanted, environ):
        return f"{wanted}, which its first line names, is in no folder of PATH"
    return ""


def _is_relative(name: str) -> bool:
    return "/" in name and not name.startswith("/")
