"""Makes drafts valid: they are written, loaded as if they stood in their stack, and what the loader
or a provider refuses is taken out with a remark, until nothing is refused.

Called by :mod:`provisioner.discovery.discovering`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity
from provisioner.discovery.drafts import Draft
from provisioner.engine.prepare import check_stack
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load
from provisioner.manifest.model import Stack
from provisioner.providers.registry import Registry
from provisioner.state.model import State

Texts = Mapping[FilePath, str]


class StackCheck:
    """Loads the stack in a folder with texts that are not written there yet."""

    def __init__(
        self,
        root: FilePath,
        catalog: SchemaCatalog,
        registry: Registry,
        *,
        environment: str | None = None,
        variables: Mapping[str, str] | None = None,
        state: State | None = None,
    ) -> None:
        self.root = root
        self._catalog = catalog
        self._registry = registry
        self._environment = environment
        self._variables = dict(variables or {})
        self._state = state
        self._known = _Remembered()

    def __call__(self, texts: Texts) -> Stack:
        """The stack with these texts; raises ProvisionerError with all that ``validate`` would
        find.
        """
        entries = {} if self._state is None else self._state.entries
        stack = load(
            self.root,
            self._catalog,
            self._environment,
            self._variables,
            describe=lambda name: self._registry.get(name).describe(),
            recorded=lambda address: entries[address].outputs if address in entries else {},
            known=self._known,
            unwritten=texts,
        )
        errors = check_stack(stack, self._registry, self._catalog)
        if errors:
            raise ProvisionerError(errors)
        return stack


class _Remembered(dict[str, str]):
    """What was read in an earlier round; implements
    :class:`provisioner.manifest.documents.KnownDocuments`.
    """

    def find(self, key: str) -> str | None:
        """What was kept."""
        return self.get(key)

    def keep(self, key: str, line: str) -> None:
        """Keep it for the next round."""
        self[key] = line


def settle(
    drafts: Iterable[Draft],
    others: Texts,
    place: Callable[[Draft], FilePath],
    written: Callable[[Draft], str],
    check: StackCheck,
) -> None:
    """Take out of the drafts whatever keeps the stack from being valid. ``others`` are the texts
    beside them, ``place`` is where a draft will stand, ``written`` its text.

    Raises ProvisionerError if something else is wrong with the stack.
    """
    by_file = {str(check.root / place(draft)): draft for draft in drafts}
    texts = {place(draft): written(draft) for draft in by_file.values() if draft.problem is None}
    while True:
        try:
            check({**others, **texts})
            return
        except ProvisionerError as refused:
            changed = _take_out(refused.diagnostics, by_file)
            if not changed:
                raise
        for draft in changed:
            if draft.problem is None:
                texts[place(draft)] = written(draft)
            else:
                del texts[place(draft)]


def _take_out(found: Iterable[Diagnostic], by_file: Mapping[str, Draft]) -> list[Draft]:
    """Take out what was found; returns the drafts that are others now."""
    errors: dict[str, list[Diagnostic]] = {}
    for item in found:
        file = item.source.file if item.source is not None else ""
        if item.severity is Severity.ERROR and file in by_file:
            errors.setdefault(file, []).append(item)
    for file, items in errors.items():
        draft = by_file[file]
        # Of two in one list, the second one is out with the first.
        left_out = [draft.leave_out(item.path, item.summary) for item in items]
        if not any(left_out):
            draft.problem = items[0].summary
    return [by_file[file] for file in errors]
