"""Loads a stack: from a folder of YAML files to a :class:`Stack`, or to every error in it.

The service layer calls :func:`load`. The stages: read documents, read the Stack manifest, expand,
validate and bring into canonical form, resolve references, check. A stage that finds errors does
not stop the next one; what could only be a consequence of an error already found is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from provisioner.core.actions import permissions
from provisioner.core.address import Address
from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, shortened, warning
from provisioner.core.values import Json
from provisioner.manifest.addressing import Recorded, settle_addresses
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.checks import check_drafts, check_secrets
from provisioner.manifest.documents import KnownDocuments, Reading, read_manifests
from provisioner.manifest.drafting import Drafter, settled_draft
from provisioner.manifest.expand import Expander
from provisioner.manifest.files import TextFiles
from provisioner.manifest.glance import holds_stack
from provisioner.manifest.ignoring import PLACE as IGNORE
from provisioner.manifest.model import Declaration, HostDeclaration, IgnoreRule, Stack
from provisioner.manifest.named import named_files
from provisioner.manifest.places import Origin, Places
from provisioner.manifest.problems import Problem
from provisioner.manifest.providers import Describe, ProviderSections
from provisioner.manifest.recovery import check_recovery
from provisioner.manifest.recovery_addresses import addresses_elsewhere
from provisioner.manifest.references import Draft, Names, find_hosts, link_host, link_references
from provisioner.manifest.reports import Reports
from provisioner.manifest.stackfile import StackFile, no_stack, read_stack_file, stacks_apart
from provisioner.manifest.unread import Meant, Unread
from provisioner.manifest.written import Manifest
from provisioner.manifest.yamlstrict import LIBYAML


def load(
    root: Path,
    catalog: SchemaCatalog,
    environment: str | None = None,
    variables: Mapping[str, Json] | None = None,
    *,
    describe: Describe | None = None,
    recorded: Recorded = lambda _: {},
    known: KnownDocuments | None = None,
    unwritten: Mapping[Path, str] | None = None,
) -> Stack:
    """Load the stack in the folder ``root``.

    ``variables`` are values from the command line: they may be texts, which are read as the
    declared type. With ``describe`` the sections that only a provider understands
    (``Host.spec.connection``, ``native``) are checked, too. ``recorded`` tells the outputs
    of what was applied before, which decide what stays as it is (a derived MAC address). Documents
    that are ``known`` are not read again, and new ones become so. ``unwritten`` are texts of files,
    by their paths below ``root``, that are read as if they stood there. Files are named in
    diagnostics as ``root`` joined with their path below it. Raises ProvisionerError with every
    error, in the order of files and lines (PRV1xxx, PRV5001..5003).
    """
    with collector_paused():
        return _Loading(
            root,
            catalog,
            environment,
            variables or {},
            describe=describe,
            recorded=recorded,
            known=known,
            unwritten=unwritten,
        ).run()


class _Loading:
    """Loads one stack once."""

    def __init__(
        self,
        root: Path,
        catalog: SchemaCatalog,
        environment: str | None,
        variables: Mapping[str, Json],
        *,
        describe: Describe | None,
        recorded: Recorded,
        known: KnownDocuments | None,
        unwritten: Mapping[Path, str] | None,
    ) -> None:
        self.recorded, self.known, self.unwritten = recorded, known, unwritten
        self.root, self.catalog, self.environment = root, catalog, environment
        self.variables, self.describe = variables, describe
        self.drafts: dict[Address, Draft] = {}
        self.hosts: dict[str, Draft] = {}
        self.policies: dict[Address, Draft] = {}
        self.aside: list[Draft] = []
        """Drafts whose address is no name, or another's: nothing comes of them, but they are
        checked.
        """
        self.origins: dict[Address, Origin] = {}
        self.unread = Unread()
        fields = {name: info.document for name, info in catalog.kinds.items()}
        self.places = Places(self.origins, fields)
        self.reports = Reports(self.places)

    def run(self) -> Stack:
        if not LIBYAML:
            self.reports.add([_slow_parser()])
        reading = read_manifests(self.root, self.catalog, self.known, self.unwritten)
        stack = read_stack_file(
            reading.manifests,
            self.catalog,
            self.reports,
            environment=self.environment,
            given=self.variables,
        )
        apart = stacks_apart(self.root, reading.manifests, self.catalog)
        if apart is not None:
            raise ProvisionerError(apart)
        self._take_complaints(reading, stack)
        self._draft(reading, stack)
        self._check_environments(reading, stack)
        self._link(stack)
        found = self.reports.in_order(reading.files)
        if any(item.severity is Severity.ERROR for item in found):
            raise ProvisionerError(found)
        files = sorted({item.origin.file.name for item in reading.manifests})
        return self._stack(stack, found, files)

    def _take_complaints(self, reading: Reading, stack: StackFile) -> None:
        """Report what could not be read, but for files that are named as something else."""
        if reading.complaints:
            variants = stack.variants()
            reading.set_aside(named_files(self.root, reading.manifests, variants, self.catalog))
            for complaints in reading.complaints.values():
                self.reports.add(complaints.found)
                self.unread.add(complaints.meant)
        if stack.manifest is None and not self._may_have_stack(reading):
            # Whatever else is here, a home or a collection of anything, is nobody's stack.
            empty = not reading.manifests
            raise ProvisionerError(no_stack(str(self.root), self.catalog.stack_kind, empty=empty))

    def _may_have_stack(self, reading: Reading) -> bool:
        """Whether the Stack manifest may be among what could not be read."""
        closed = any(item.closed for item in reading.complaints.values())
        return (
            closed
            or self.unread.names_a(self.catalog.stack_kind)
            or any(holds_stack(Path(name)) for name in reading.complaints)
        )

    def _draft(self, reading: Reading, stack: StackFile) -> None:
        """Make drafts of all documents."""
        expander = Expander(stack, self.catalog, self.reports)
        files = TextFiles(self.root, self.reports)
        drafter = Drafter(self.catalog, self.places, files, self.reports)
        for manifest in reading.manifests:
            settled = manifest.settled
            if settled is not None and manifest.written not in expander.overlays:
                self._take(settled_draft(manifest, settled))
            elif manifest.kind != self.catalog.stack_kind:
                self._draft_one(manifest, expander, drafter)
        expander.check_overlays(reading.manifests, self.unread)
        if self.known is not None:
            reading.keep(self.known, self.catalog)

    def _draft_one(self, manifest: Manifest, expander: Expander, drafter: Drafter) -> None:
        for document in expander.documents_of(manifest):
            draft = drafter.draft(document)
            if not draft.named or (document.absent and document.failed):
                self.unread.add([Meant(document.kind, document.manifest.name or None)])
            if not document.absent:
                self._take(draft)

    def _take(self, draft: Draft) -> None:
        other = self.origins.get(draft.address) if draft.named else None
        if other is not None:
            self._report(draft, _taken(draft.address, other))
            draft.named, draft.failed = False, True
        if not draft.named:
            self.aside.append(draft)
            return
        self.origins[draft.address] = draft.origin
        if draft.address.kind == self.catalog.endpoint_kind:
            self.hosts[draft.address.name] = draft
        elif draft.address.kind in self.catalog.policy_kinds:
            self.policies[draft.address] = draft
        else:
            self.drafts[draft.address] = draft

    def _check_environments(self, reading: Reading, stack: StackFile) -> None:
        """Report what is wrong in overlays of the environments that are not chosen."""
        for variant in stack.variants():
            overlays = variant.overlays
            if stack.manifest is None or variant.environment == stack.environment or not overlays:
                continue
            reports = Reports(self.places)
            expander = Expander(variant, self.catalog, reports)
            drafter = Drafter(self.catalog, self.places, TextFiles(self.root, reports), reports)
            laid_over = [item for item in reading.manifests if item.written in overlays]
            for document in expander.expand(laid_over):
                drafter.check(document)
            # What stands elsewhere is wrong in the chosen environment as well.
            self.reports.add(reports.within(stack.manifest.origin))

    def _link(self, stack: StackFile) -> None:
        declared = {**self.drafts, **self.policies}
        names = Names(declared, self.hosts.keys(), self.unread, self.catalog)
        default = stack.default_host
        if default is not None and default not in self.hosts and stack.manifest is not None:
            kinds = (self.catalog.endpoint_kind,)
            problem = names.missing(kinds, default, ("spec", "defaults", "host"))
            if problem is not None:
                origin, kind = stack.manifest.origin, self.catalog.stack_kind
                self.reports.report(origin, kind, problem)
        endpoint, of_policy = self.catalog.endpoint_kind, self.catalog.policy_kinds
        hosts = [*self.hosts.values(), *(it for it in self.aside if it.address.kind == endpoint)]
        policies = [
            *self.policies.values(),
            *(draft for draft in self.aside if draft.address.kind in of_policy),
        ]
        elsewhere = {endpoint, *of_policy}
        aside = [draft for draft in self.aside if draft.address.kind not in elsewhere]
        drafts = [*self.drafts.values(), *aside]
        link_references(names, [*drafts, *policies])
        find_hosts(names, drafts, default, silent="defaults" in stack.uncertain)
        scope = stack.name if self.environment is None else f"{stack.name}/{self.environment}"
        later = addresses_elsewhere(self.policies, self.drafts)
        settle_addresses(scope, self.drafts, self.recorded, later)
        check_drafts(self.drafts)
        for draft in aside:
            check_drafts({draft.address: draft})
        for draft in policies:
            check_secrets(draft)
        check_recovery(self.policies, self.drafts, names)
        self._check_providers(hosts, drafts)
        for draft in (*hosts, *drafts, *policies):
            for problem in draft.problems:
                self._report(draft, problem)
        if stack.manifest is not None:
            for problem in self._idle_protection(stack):
                self.reports.report(stack.manifest.origin, self.catalog.stack_kind, problem)

    def _idle_protection(self, stack: StackFile) -> Iterator[Problem]:
        kinds = [kind for kind in self.catalog.kinds if self.unread.may_be_a(kind)]
        for index, pattern in stack.protect.items():
            unsure = any(fnmatchcase(kind, pattern.kind) for kind in kinds)
            if not unsure and not any(pattern.matches(address) for address in self.drafts):
                yield Problem(
                    ("spec", "policy", "protect", index),
                    "PRV1431",
                    "this pattern matches nothing, so it protects nothing",
                    "Correct the pattern, or remove it.",
                    warning=True,
                )

    def _ignore_rules(self, stack: StackFile) -> Iterator[IgnoreRule]:
        for index, rule in stack.ignore.items():
            assert stack.manifest is not None
            source = self.places.find(stack.manifest.origin, (*IGNORE, index))
            yield IgnoreRule(*rule, source)

    def _check_providers(self, hosts: Iterable[Draft], drafts: Iterable[Draft]) -> None:
        for host in hosts:
            check_secrets(host)
            link_host(host, self.catalog)
        if self.describe is None:
            return
        sections = ProviderSections(self.describe, self.catalog)
        for host in hosts:
            sections.check_host(host)
        for draft in drafts:
            sections.check_resource(draft)

    def _report(self, draft: Draft, problem: Problem) -> None:
        address = draft.address
        about = shortened(str(address)) if address.name else None
        self.reports.report(draft.origin, address.kind, problem, address=about)

    def _stack(self, stack: StackFile, warnings: list[Diagnostic], files: list[str]) -> Stack:
        protect = stack.protect
        declarations = {
            address: Declaration(
                address,
                draft.spec,
                draft.origin.source,
                draft.host,
                draft.references,
                draft.treatment.protect
                or any(pattern.matches(address) for pattern in protect.values()),
                draft.treatment.renamed_from,
                draft.treatment.replace_order,
                draft.treatment.external_name,
                permissions(draft.treatment.manage),
            )
            for address, draft in self.drafts.items()
        }
        policies = {
            address: Declaration(address, draft.spec, draft.origin.source, None, draft.references)
            for address, draft in self.policies.items()
        }
        hosts = {
            name: HostDeclaration(
                name, str(draft.spec["provider"]), draft.spec, draft.origin.source
            )
            for name, draft in self.hosts.items()
        }
        return Stack(
            stack.name,
            self.root,
            self.environment,
            declarations,
            hosts,
            stack.max_impact,
            tuple(self._ignore_rules(stack)),
            tuple(warnings),
            tuple(Path(name).relative_to(self.root).as_posix() for name in files),
            self.places,
            stack.manifest.origin.source if stack.manifest is not None else None,
            policies,
            stack.excused,
        )


def _taken(address: Address, other: Origin) -> Problem:
    return Problem(
        ("metadata", "name"),
        "PRV1311",
        f"{address} is declared twice",
        "Give one of them another name, or remove it.",
        f"The first one is in {other.source}.",
    )


def _slow_parser() -> Diagnostic:
    return warning(
        "PRV1009",
        "PyYAML was built without libyaml: reading manifests takes about ten times as long",
        hint="Install libyaml's headers (libyaml-dev) and PyYAML again, or a wheel of it.",
    )
