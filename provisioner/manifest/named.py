"""Which files the manifests of a stack name: what is user data or an image is no manifest, even
where its name ends in ``.yaml``.

Called by :mod:`provisioner.manifest.loader` when files of the folder turned out to be no manifests.
A name counts only as the whole path that it is once variables and replica numbers are put in, in
any of the stack's environments. A pattern would be easier to get, but a broken manifest that it
happens to match would be passed over in silence, and its resources would be deleted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.expand import Expander
from provisioner.manifest.fields import Field
from provisioner.manifest.places import Places
from provisioner.manifest.reports import Reports
from provisioner.manifest.stackfile import StackFile
from provisioner.manifest.written import Manifest


def named_files(
    root: Path,
    manifests: Sequence[Manifest],
    variants: Iterable[StackFile],
    catalog: SchemaCatalog,
) -> set[str]:
    """The paths that stand in fields for files, as diagnostics name them: ``root`` joined with the
    path below it. ``variants``: the stack in each of its environments.
    """
    found: set[str] = set()
    for variant in variants:
        expander = Expander(variant, catalog, Reports(Places({}, {})))
        for document in expander.expand(
            # A settled document names no file by itself.
            [it for it in manifests if it.settled is None or it.written in expander.overlays]
        ):
            for text in _names(document.value, catalog.kinds[document.kind].document):
                path = os.path.relpath(document.manifest.folder / text, root)
                found.add(str(root / path))
    return found


def _names(value: Any, field: Field | None) -> Iterator[str]:
    if field is None:
        return
    if field.local_file:
        # What still has a placeholder waits for something that is not known, and names no file.
        if isinstance(value, str) and "${" not in value:
            yield value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _names(child, field.child(name))
    elif isinstance(value, list):
        for child in value:
            yield from _names(child, field.rest)
