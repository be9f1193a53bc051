"""Takes secrets out of what comes back from a provider, before anybody keeps or shows it.

A session knows secrets, and what it passes on is written by others: libvirt quotes what it was
given, a plugin its arguments. :mod:`provisioner.engine.sessions` hands out sessions only as
:func:`guarded` gives them, so that no caller has to think of it.

Cleaned are texts for people, and outputs, which are recorded. Specs, identities and facts are not:
decisions are made with them, and by the contract a spec holds references.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from inspect import isroutine
from typing import Any, cast

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.redaction import Redactor
from provisioner.providers.api import (
    Discovered,
    Outcome,
    Present,
    Retryable,
    Session,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import ConsoleStream, GuestResult, ReplicaState, User


class Unforeseen(Exception):
    """What a plugin raised against the contract: its type and its words, without the secrets that
    were in them.
    """


def words_of(problem: Exception) -> str:
    """The type of an exception and what it says."""
    said = str(problem)
    return said if isinstance(problem, Unforeseen) else f"{type(problem).__name__}: {said}"


def trace_of(problem: Exception) -> str:
    """Where an exception was raised: files, lines and code, and no value that a secret could be."""
    cause = problem.__cause__ if isinstance(problem, Unforeseen) else None
    return "".join(traceback.format_tb((cause or problem).__traceback__))


def guarded(session: Session, redactor: Redactor) -> Session:
    """The session, with whatever capabilities it has; its answers and failures hold no secret."""
    return cast(Session, _Guarded(session, redactor))


@contextmanager
def cleaning(redactor: Redactor) -> Iterator[None]:
    """What is raised within holds no secret. Errors of the contract stay the objects that they
    are.
    """
    try:
        yield
    except (Retryable, Terminal) as problem:
        problem.diagnostic = redactor.diagnostic(problem.diagnostic)
        problem.args = (problem.diagnostic.summary,)
        raise
    except ProvisionerError as problem:
        problem.diagnostics = tuple(map(redactor.diagnostic, problem.diagnostics))
        problem.args = (redactor.text(str(problem)),)
        raise
    except Exception as problem:
        said = words_of(problem)
        if redactor.text(said) == said:
            raise
        raise Unforeseen(redactor.text(said)) from problem


class _Guarded:
    """Has every method of an object, and no other."""

    def __init__(self, inner: object, redactor: Redactor) -> None:
        self._inner = inner
        # As attributes, because isinstance looks for those of a protocol without __getattr__.
        for name in dir(type(inner)):
            if not name.startswith("_") and isroutine(getattr(type(inner), name)):
                setattr(self, name, _cleaned(getattr(inner, name), redactor))


def _cleaned(call: Callable[..., Any], redactor: Redactor) -> Callable[..., Any]:
    @wraps(call)
    def work(*arguments: Any, **named: Any) -> Any:
        with cleaning(redactor):
            # A session that is handed to another one of its provider is its own again in there.
            given = [_bare(item) for item in arguments]
            keywords = {name: _bare(item) for name, item in named.items()}
            return _answer(call(*given, **keywords), redactor)

    return work


def _bare(value: Any) -> Any:
    return value._inner if isinstance(value, _Guarded) else value


def _answer(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, Iterator):
        return _each(value, redactor)
    if isinstance(value, ConsoleStream):
        return _Guarded(value, redactor)
    return value if redactor.is_idle else _without_secrets(value, redactor)


def _each(values: Iterator[Any], redactor: Redactor) -> Iterator[Any]:
    with cleaning(redactor):
        for value in values:
            yield _answer(value, redactor)


def _without_secrets(value: Any, redactor: Redactor) -> Any:
    clean = _BY_TYPE.get(type(value))
    if clean is not None:
        return clean(value, redactor)
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [_without_secrets(item, redactor) for item in value]
    return value


def _present(value: Present, redactor: Redactor) -> Present:
    return replace(value, outputs=_data(value.outputs, redactor)) if value.outputs else value


def _outcome(value: Outcome, redactor: Redactor) -> Outcome:
    notes = tuple(map(redactor.text, value.notes))
    return replace(value, outputs=_data(value.outputs, redactor), notes=notes)


def _discovered(value: Discovered, redactor: Redactor) -> Discovered:
    notes = tuple(map(redactor.text, value.notes))
    return replace(value, observed=_present(value.observed, redactor), notes=notes)


def _data(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.data(value)
    if isinstance(value, Mapping):
        return {key: _data(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_data(item, redactor) for item in value]
    return value


_BY_TYPE: Mapping[type, Callable[[Any, Redactor], Any]] = {
    Diagnostic: lambda value, redactor: redactor.diagnostic(value),
    Undetermined: lambda value, redactor: Undetermined(redactor.diagnostic(value.diagnostic)),
    Present: _present,
    Outcome: _outcome,
    Discovered: _discovered,
    ReplicaState: lambda value, redactor: replace(value, problem=redactor.text(value.problem)),
    GuestResult: lambda value, redactor: value._replace(output=redactor.text(value.output)),
    User: lambda value, redactor: value._replace(text=redactor.text(value.text)),
}
