"""What is said of a field that vSphere cannot honour. Called by the rules of every kind."""

from __future__ import annotations

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, path_text
from provisioner.providers.api import Resource

_PRODUCT = "vSphere"
_LONGEST = 80
_NAMES = "vSphere Web Services API, ManagedEntity.name"
_LONGEST_OF_DATASTORE = 42
_DATASTORES = "VMware vSphere Storage, Create an NFS Datastore"


def unusable(path: Path, found: str, hint: str) -> Diagnostic:
    """The diagnostic for the field at ``path`` of a spec; ``found`` is a sentence without its full
    stop that says what is in the way.
    """
    return error(
        "PRV2551",
        f"{path_text(path)} cannot be used with vSphere here",
        detail=f"{found if found.startswith(_PRODUCT) else found[:1].upper() + found[1:]}.",
        hint=hint,
        path=path,
    )


def out_of_range(path: Path, found: str, limit: str, source: str) -> Diagnostic:
    """The diagnostic for a value that no such endpoint takes; ``limit`` says which it takes, and
    ``source`` where that is written.
    """
    return error(
        "PRV2552",
        f"{path_text(path)} is {found}, which vSphere does not take",
        detail=f"{limit} ({source}).",
        hint="Choose a value within the limit.",
        path=path,
    )


def too_long(resource: Resource) -> Diagnostic | None:
    """The diagnostic for a name that is longer than vSphere takes; the name may be an inventory
    path.
    """
    name = resource.name.rpartition("/")[2]
    most, source = _LONGEST, _NAMES
    if resource.kind == "StoragePool":
        most, source = _LONGEST_OF_DATASTORE, _DATASTORES
    if len(name) <= most:
        return None
    return error(
        "PRV2552",
        f"{resource.address} is called {name!r} there, which vSphere does not take",
        detail=f"A name has at most {most} characters, and this one {len(name)} ({source}).",
        hint="Choose a shorter name.",
        address=str(resource.address),
    )
