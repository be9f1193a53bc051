"""Whether a host can have a machine at all: asked of machines before they are made or changed.

Called by the session. The host is asked only where a manifest names a machine type or a processor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, path_text
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.kvm.domain.processor import HOST_MODES
from provisioner_plugins.kvm.machine.host import Host

_MACHINE_TYPE = ("machineType",)
_MODEL = ("cpu", "model")
_MOST_NAMES = 12


def unsuitable(host: Host, undertakings: Iterable[Undertaking]) -> Iterator[Diagnostic]:
    """What the host does not know of the machines' types and processors."""
    asked = [
        (item, path, str(value))
        for item in undertakings
        for path, value in _named(item)
        if value is not None
    ]
    if not asked:
        return
    known: dict[Path, Collection[str]] = {_MACHINE_TYPE: host.facts().machines}
    if any(path == _MODEL for _, path, _ in asked):
        known[_MODEL] = host.processor_models()
    for item, path, name in asked:
        # A host that tells nothing is not taken at its word.
        if known[path] and name not in known[path]:
            yield _unknown(item, path, name, known[path])


def _named(item: Undertaking) -> Iterator[tuple[Path, object]]:
    """The fields that are about to be written and that name something the host has to know."""
    spec = item.resource.spec
    model = spec.get("cpu", {}).get("model")
    for path, value in (
        (_MACHINE_TYPE, spec.get("machineType")),
        (_MODEL, None if model in HOST_MODES else model),
    ):
        if item.creates or any(change.path[:1] == path[:1] for change in item.changes):
            yield path, value


def _unknown(item: Undertaking, path: Path, name: str, known: Collection[str]) -> Diagnostic:
    near = get_close_matches(name, known, n=1)
    hint = f"Choose one of these, or leave {path_text(path)} out."
    names = sorted(known)
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return error(
        "PRV5210",
        f"{path_text(path)} names what the host does not have: {name!r}",
        detail=f"It has {', '.join(names[:_MOST_NAMES])}{more}.",
        hint=f"Did you mean {near[0]!r}?" if near else hint,
        address=str(item.resource.address),
        path=path,
    )
