"""One case of the lifecycle fuzzing as a value: what is recorded, what is declared, what goes wrong
and what is asked for. Random ones, and a case written out as a test.

A case is plain text and plain data, so that the same case fails again wherever it is pasted.
:mod:`tests.fuzz.trial` carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.lifecycle.fitting_world import Document, expanded_names
from tests.lifecycle.generate import edits, stacks

UPHEAVALS = {
    "vanished": "its object is gone",
    "unstamped": "its object carries no stamp any more",
    "taken": "its object carries the stamp of another stack",
    "forgotten": "its object is ours, and its entry is gone",
    "half made": "its creation is under way: no entry, and an object that lacks most of its fields",
    "not begun": "its creation is under way: neither an entry nor an object",
    "left over": "a predecessor of it is still there, whose deletion is under way",
    "create": "an intent to create it is open, though it is recorded",
    "update": "an intent to change it is open",
    "rename": "an intent to give it another name is open",
    "adopt": "an intent to adopt it is open",
    "delete": "an intent to delete it is open",
    "deleted": "an intent to delete it is open, and its object is gone",
    "forget": "an intent to forget it is open",
    "refresh": "an intent to write entries anew is open",
}
"""What may have become of a resource that was applied."""

COMMANDS = ("plan", "apply", "destroy", "drift")


@dataclass(frozen=True)
class Upheaval:
    """What became of one resource: its address, and one of :data:`UPHEAVALS`."""

    address: str
    what: str


@dataclass(frozen=True)
class Operation:
    """A command with its options. ``bold``: whatever impact and loss of data it needs is allowed;
    otherwise only what is live. ``adopt``: whatever nobody owns is adopted.
    """

    command: str
    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    adopt: bool = False
    bold: bool = True


@dataclass(frozen=True)
class Case:
    """``before`` is applied, upheavals befall it, ``declared`` takes its place, and the operations
    follow, during which calls of the endpoints go wrong. The first two are manifests, ``faults``
    rules of a Host of the memory provider; each operation counts them anew.
    """

    before: str
    upheavals: tuple[Upheaval, ...]
    declared: str
    faults: tuple[Mapping[str, Any], ...]
    operations: tuple[Operation, ...]


FAULTS = st.lists(
    st.fixed_dictionaries(
        {
            # What is lost in the middle of a creation has found the most.
            "call": st.sampled_from(
                ("create", "create", "update", "delete", "adopt", "observe", "open")
            ),
            "effect": st.sampled_from(
                ("lost-answer", "lost-answer", "retryable", "terminal", "undetermined")
            ),
            "address": st.sampled_from(("*/*", "*/*", "Disk/*", "VirtualMachine/*", "Network/*0")),
            # 8 attempts are made in a step: ten are more than it can overcome.
            "times": st.sampled_from((1, 10, 10)),
            "seconds": st.just(0),
        }
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def cases(draw: DrawFn) -> Case:
    """Any case."""
    first = draw(stacks())
    second = draw(edits(first))
    applied = draw(st.sampled_from((True, True, False)))
    befallen = st.builds(
        Upheaval, st.sampled_from(_addresses(first)), st.sampled_from(tuple(UPHEAVALS))
    )
    upheavals = st.lists(befallen, min_size=2, max_size=8, unique_by=lambda item: item.address)
    operations = draw(st.lists(_operations(_addresses([*first, *second])), min_size=1, max_size=3))
    return Case(
        _text(first) if applied else "",
        tuple(draw(upheavals)) if applied else (),
        _text(second),
        tuple(draw(FAULTS)) if draw(st.sampled_from((True, True, False))) else (),
        tuple(operations),
    )


def _text(documents: Sequence[Document]) -> str:
    """The documents as a manifest file, in few lines; JSON is YAML."""
    return "\n---\n".join(
        ",\n ".join(
            json.dumps({key: value}, ensure_ascii=False)[1:-1] for key, value in document.items()
        ).join("{}")
        for document in documents
    )


def _addresses(documents: Sequence[Document]) -> list[str]:
    return sorted(
        {
            f"{document['kind']}/{name}"
            for document in documents
            for name in expanded_names(document)
        }
    )


def _operations(addresses: Sequence[str]) -> st.SearchStrategy[Operation]:
    none: st.SearchStrategy[tuple[str, ...]] = st.just(())
    some = none | none | st.tuples(st.sampled_from(addresses))
    return st.builds(
        Operation,
        command=st.sampled_from((*COMMANDS, "apply", "apply")),
        target=some,
        exclude=some,
        adopt=st.booleans(),
        bold=st.sampled_from((True, True, False)),
    )


TEST = '''\
"""Found by fuzzing."""

from tests.fuzz.cases import Case, Operation, Upheaval
from tests.fuzz.trial import check


def test_found_by_fuzzing() -> None:
    check(
        Case(
{arguments}
        )
    )
'''


def as_test(case: Case) -> str:
    """The case as a module with one test, to be put into tests/lifecycle."""
    parts = [(field.name, getattr(case, field.name)) for field in fields(case)]
    return TEST.format(arguments="\n".join(f"{' ' * 12}{n}={_written(v)}," for n, v in parts))


def _written(value: str | tuple[object, ...]) -> str:
    """A text line by line, a tuple item by item."""
    items = value.splitlines(keepends=True) if isinstance(value, str) else value
    separator = "" if isinstance(value, str) else ","
    if not items:
        return repr(value)
    return "\n".join(("(", *(f"{' ' * 16}{item!r}{separator}" for item in items), f"{' ' * 12})"))


def printed_tests(problem: BaseException) -> list[str]:
    """The cases that hypothesis noted with a failure, or with each of several, as tests."""
    parts = problem.exceptions if isinstance(problem, BaseExceptionGroup) else (problem,)
    notes = (note for part in parts for note in getattr(part, "__notes__", ()))
    return [note for note in notes if note.startswith(TEST.partition("\n")[0])]
