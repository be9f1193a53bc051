"""The user's own configuration, ``~/.config/provisioner/config.yaml``: what he allows all stacks.

Read by :mod:`provisioner.service.secretcommands` when a stack asks for something of that, and by
:mod:`provisioner.service.recovery.keys` for the keys of stored plans. A stack
must have no say in it, so that a file which others could have written, or which came with the
stack, is refused. Where it lies is the caller's to say.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from provisioner.core.diagnostics import (
    Diagnostic,
    ProvisionerError,
    SourceRange,
    error,
    quoted,
)
from provisioner.manifest.canonical import Findings
from provisioner.manifest.compiled import CompiledSchema
from provisioner.manifest.places import Origin, Places
from provisioner.manifest.positioned import compose
from provisioner.manifest.problems import Problem
from provisioner.manifest.source import SourceFile, read_source
from provisioner.manifest.syntax import explain
from provisioner.manifest.yamlstrict import BrokenDocument, SyntaxFailure, read_documents

FILE_LIMIT = 1024 * 1024
DEFAULT_SECONDS = 30.0

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class AllowedCommand:
    """A command whose output is a secret. ``run`` is the program and its arguments, ``argument``
    what the last argument that a stack gives has to match; None: it may give none.
    """

    run: tuple[str, ...]
    argument: re.Pattern[str] | None = None
    seconds: float = DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class UserConfiguration:
    """What stands in the file."""

    commands: Mapping[str, AllowedCommand] = field(default_factory=dict)
    signing_key: Path | None = None
    """The private key that recovery plans are signed with."""
    trusted_keys: Path | None = None
    """The public keys whose recovery plans are carried out."""


def read_configuration(path: Path, stack: Path) -> UserConfiguration | None:
    """The configuration in the file ``path``, None if there is no such file.

    Raises ProvisionerError: PRV1502 if others than the user can have written it, or it lies in the
    folder ``stack``; else with every mistake in it, at its place.
    """
    try:
        real = path.resolve(strict=True)
        danger = next(_dangers(path.absolute(), real, stack), None)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as problem:  # RuntimeError: links in a circle
        reason = getattr(problem, "strerror", None) or problem
        danger = _refused(path, f"it cannot be looked at: {reason}")
    if danger is not None:
        raise ProvisionerError(danger)
    return _read(read_source(real, str(path), FILE_LIMIT))


def within(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, as it is written or as its links lead."""
    folders = (folder.absolute(), folder.resolve())
    return any(
        way.is_relative_to(one) for way in (path.absolute(), path.resolve()) for one in folders
    )


def _dangers(path: Path, real: Path, stack: Path) -> Iterator[Diagnostic]:
    if within(path, stack):
        yield _refused(
            path,
            "it lies in the folder of the stack, which must not decide what may be run",
            "Keep it in a folder of your own: ~/.config, or what XDG_CONFIG_HOME names.",
        )
    status = real.stat()
    if not stat.S_ISREG(status.st_mode):
        yield _refused(path, "it is not a regular file")
    for place in (real, *real.parents, *path.parents):
        status = place.stat()
        if status.st_uid not in (0, os.geteuid()):
            yield _refused(
                path,
                f"{place} belongs to somebody else (user {status.st_uid}), who could change it",
                f"Make it yours: chown {os.geteuid()} {place}",
            )
        # In a folder with the sticky bit, others can make files but not replace ours.
        is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & _OTHERS_WRITE and not is_sticky:
            yield _refused(path, f"others may write {place}", f"Forbid it: chmod go-w {place}")


def _refused(path: Path, reason: str, hint: str = "") -> Diagnostic:
    return error(
        "PRV1502",
        "your configuration is not used",
        detail=f"What stands there is run with your rights, but {reason}.",
        source=SourceRange(str(path), 1, 1),
        hint=hint,
    )


@cache
def _schema() -> CompiledSchema:
    text = files("provisioner.service").joinpath("config.v1.json").read_text(encoding="utf-8")
    return CompiledSchema(json.loads(text))


def _read(file: SourceFile) -> UserConfiguration:
    value: Any = {}
    origin: Origin | None = None
    for result in read_documents(file.text):
        if isinstance(result, SyntaxFailure):
            raise ProvisionerError(explain(result, file))
        if isinstance(result, BrokenDocument):
            raise ProvisionerError(compose(file, result.start, result.end).problems)
        if origin is not None:
            raise ProvisionerError(
                error(
                    "PRV1100",
                    "a second document in the configuration",
                    source=Origin.of(file, result).source,
                    hint="Put everything into the first one.",
                )
            )
        value, origin = result.value, Origin.of(file, result)
    if origin is None:
        return UserConfiguration()
    findings = Findings()
    problems = _schema().problems(value)
    section: Mapping[str, Any] = {}
    keys: Mapping[str, str] = {}
    if not problems:
        canonical = _schema().canonicalise(value, findings)
        section = canonical.get("secrets", {}).get("commands", {})
        keys = canonical.get("recovery", {})
        problems = [*findings.problems, *_beyond_the_schema(section)]
    if problems:
        places = Places({}, {})
        raise ProvisionerError([places.report(origin, "", item, value) for item in problems])
    return UserConfiguration(
        {name: _command(item) for name, item in section.items()},
        _path(keys.get("signingKey")),
        _path(keys.get("trustedKeys")),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _beyond_the_schema(commands: Mapping[str, Any]) -> Iterator[Problem]:
    for name, item in commands.items():
        place = ("secrets", "commands", name)
        program = item["run"][0]
        if not program or ("/" in program and not program.startswith("/")):
            yield Problem(
                (*place, "run", 0),
                "PRV1107",
                f"found {quoted(program)}, expected the name of a program, or its absolute path",
                "Which file a relative path means depends on where the command is started.",
            )
        for number, argument in enumerate(item["run"]):
            if "\0" in argument:
                yield Problem(
                    (*place, "run", number),
                    "PRV1107",
                    "found a null character, expected what an argument can hold",
                )
        try:
            re.compile(item.get("argument", ""))
        except (re.error, RecursionError) as problem:
            yield Problem(
                (*place, "argument"),
                "PRV1107",
                f"found {quoted(item['argument'])}, expected a regular expression",
                detail=f"{problem}.",
            )


def _command(item: Mapping[str, Any]) -> AllowedCommand:
    return AllowedCommand(
        tuple(item["run"]),
        re.compile(item["argument"]) if "argument" in item else None,
        item["timeout"] / 1000 if "timeout" in item else DEFAULT_SECONDS,
    )
