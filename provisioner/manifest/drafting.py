"""One expanded document becomes a draft: validated, canonical, its references collected.

Called by :mod:`provisioner.manifest.loader` for every document. A document with errors becomes a
draft, too, without what is wrong in it, so that one run can report everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.core.address import Address
from provisioner.manifest.annotations import METADATA_FIELDS
from provisioner.manifest.canonical import Findings, Place, output_as_name
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.expand import Expanded
from provisioner.manifest.files import ManifestFiles, TextFiles
from provisioner.manifest.model import Treatment
from provisioner.manifest.placeholders import has_output, shielded, unescaped, unshielded
from provisioner.manifest.places import Places
from provisioner.manifest.problems import Problem
from provisioner.manifest.pruning import pruned, without_unresolved
from provisioner.manifest.references import Draft
from provisioner.manifest.reports import Reports
from provisioner.manifest.written import Manifest, Settled


@dataclass(slots=True)
class Drafter:
    """Makes drafts of the documents of one stack."""

    catalog: SchemaCatalog
    places: Places
    files: TextFiles
    reports: Reports

    def draft(self, document: Expanded) -> Draft:
        """The draft of a document. Without a name that can be used its address is as written; it
        has failed then, and nobody can refer to it.
        """
        kind, value = document.kind, document.value
        info = self.catalog.kinds[kind]
        problems = self._problems(document)
        failed = document.failed or bool(problems)
        if failed:
            self._report(document, problems, value)
            value = without_unresolved(pruned(value, problems), document.scope.kinds)
        metadata = value.get("metadata") or {}
        name = metadata.get("name")
        named = isinstance(name, str) and "${" not in name
        spec = dict(value.get("spec") or {})
        for field in METADATA_FIELDS:
            if field in metadata:
                spec[field] = metadata[field]
        address = Address(kind, str(name) if named else document.manifest.name)
        files = self._files(document, address)
        findings = Findings(files, document.scope.kinds)
        canonical = info.canonicalise(spec, findings)
        if findings.problems:
            failed = True
            moved = [_moved(problem) for problem in findings.problems]
            self._report(document, moved, document.value)
            canonical = pruned(canonical, findings.problems)
        settled = Settled(canonical, findings.references, _treatment(metadata))
        if named and not (failed or document.templated or files.were_asked):
            document.manifest.settle(settled)
        return Draft(
            address,
            canonical,
            document.origin,
            findings.references,
            document.templated or files.holds_escapes,
            failed,
            settled.treatment,
            named=named,
        )

    def check(self, document: Expanded) -> None:
        """Report what is wrong with a document of which no draft is wanted; files that it names are
        left alone.
        """
        problems = self._problems(document)
        kinds = document.scope.kinds
        value = without_unresolved(pruned(document.value, problems), kinds)
        findings = Findings(None, kinds)
        self.catalog.kinds[document.kind].canonicalise(value.get("spec") or {}, findings)
        problems += [_moved(problem) for problem in findings.problems]
        self._report(document, problems, document.value)

    def _problems(self, document: Expanded) -> list[Problem]:
        """What the schema says, and names that would have to wait for an output."""
        schema, kinds = self.catalog.compiled[document.kind], document.scope.kinds
        if not document.templated:
            return schema.problems(document.value)
        found = schema.problems(shielded(document.value, kinds), kinds)
        metadata = document.value.get("metadata")
        for name in ("name", "renamedFrom", "externalName"):
            text = metadata.get(name) if isinstance(metadata, dict) else None
            if isinstance(text, str) and has_output(text, kinds):
                found.append(output_as_name(("metadata", name)))
        return [unshielded(problem) for problem in found]

    def _report(self, document: Expanded, problems: Iterable[Problem], value: Any) -> None:
        for problem in problems:
            self.reports.report(document.origin, document.kind, problem, value)

    def _files(self, document: Expanded, address: Address) -> ManifestFiles:
        def place(path: Place) -> Any:
            keyed = self.places.keyed(address.kind, ("spec", *path))
            return self.places.find(document.origin, keyed)

        return ManifestFiles(self.files, document.manifest.folder, place)


def settled_draft(manifest: Manifest, settled: Settled) -> Draft:
    """The draft of a manifest that is settled."""
    return Draft(
        Address(manifest.kind, manifest.name),
        settled.spec,
        manifest.origin,
        settled.references,
        treatment=settled.treatment,
    )


def _treatment(metadata: Mapping[str, Any]) -> Treatment:
    external_name = metadata.get("externalName")
    return Treatment(
        metadata.get("protect") is True,
        metadata.get("renamedFrom"),
        metadata.get("replace"),
        unescaped(external_name) if isinstance(external_name, str) else None,
        metadata.get("manage"),
    )


def _moved(problem: Problem) -> Problem:
    """The problem with its path from the top of the document; it was found in a spec with some
    of the metadata.
    """
    top = "metadata" if problem.path[:1] and problem.path[0] in METADATA_FIELDS else "spec"
    return problem._replace(path=(top, *problem.path))
