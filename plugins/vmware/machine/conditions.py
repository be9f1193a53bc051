"""What decides, beside the field itself, whether a running machine takes a change: the conditions
of the rows of :mod:`~provisioner_plugins.vmware.machine.power_cycle`. Pure.

Each takes the machine as it was observed and the change, and says whether that one has to be off.
Figures of the machine are facts of an observation (see
:mod:`~provisioner_plugins.vmware.machine.reading`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.units import format_size
from provisioner.core.values import Json, get_path
from provisioner.providers.api import Change, Present
from provisioner_plugins.vmware.machine.customization import is_linux

MOST_MEMORY, MEMORY_STEP = "hotAddLimit", "hotAddStep"
"""Facts: bytes up to which memory can be added while the machine runs, and in which steps; absent
where the endpoint does not tell."""
LINUX_LIMIT = 3 * 2**30
"""A Linux guest that was started with less cannot be given more than this while it runs (VMware's
knowledge base). What it was started with is not told: what it has now stands for it.
"""
LIVE_KEYS = "guestinfo."
"""The keys of the extra configuration that a guest reads whenever it asks VMware Tools."""


def lacks_hot_add(observed: Present, change: Change) -> bool:
    """More is wanted, and the machine was started without hot-add."""
    return _grows(change) and not _hot_add(observed, change)


def shrinks(observed: Present, change: Change) -> bool:
    """Less is wanted."""
    del observed
    return _number(change.after, 1) < _number(change.before, 1)


def splits_a_socket(observed: Present, change: Change) -> bool:
    """The processors would not be whole sockets of the cores that the machine has in each."""
    return _number(change.after, 1) % cores(observed) != 0


def switches_hot_add(observed: Present, change: Change) -> bool:
    """Another maximum needs hot-add, or needs it no longer: only that there may be more at all is
    vSphere's.
    """
    field = "count" if change.path[0] == "cpu" else "size"
    now = _number(get_path(observed.spec, (change.path[0], field)), 0)
    return _hot_add(observed, change) != (_number(change.after, now) > now)


def exceeds_hot_add(observed: Present, change: Change) -> bool:
    """More memory is wanted than the running machine was given room for."""
    most = _fact(observed, MOST_MEMORY)
    return most > 0 and _number(change.after, 0) > most


def misses_step(observed: Present, change: Change) -> bool:
    """What is to be added is no multiple of the step in which the running machine takes memory."""
    step = _fact(observed, MEMORY_STEP)
    return step > 0 and (_number(change.after, 0) - _number(change.before, 0)) % step != 0


def is_small_linux(observed: Present, change: Change) -> bool:
    """A Linux guest would cross its limit."""
    before, after = _number(change.before, 0), _number(change.after, 0)
    linux = is_linux(str(observed.spec.get("guestOs", "")))
    return linux and before < LINUX_LIMIT < after


def is_secure_boot(observed: Present, change: Change) -> bool:
    """UEFI stays, Secure Boot does not."""
    del observed
    return "bios" not in (change.before, change.after)


def is_added(observed: Present, change: Change) -> bool:
    """Something is there afterwards that was not there before."""
    del observed
    return change.before is None or (bool(change.after) and not change.before)


def is_removed(observed: Present, change: Change) -> bool:
    """Something is not there any more."""
    return not is_added(observed, change)


def is_ide(observed: Present, change: Change) -> bool:
    """A device on the bus IDE."""
    del observed
    device = change.after if isinstance(change.after, Mapping) else change.before
    return isinstance(device, Mapping) and device.get("bus") == "ide"


def has_other_keys(observed: Present, change: Change) -> bool:
    """A key of the extra configuration changes that is read at a start only."""
    del observed
    before, after = keys_of(change, change.before), keys_of(change, change.after)
    changed = {key for key in before.keys() | after if before.get(key) != after.get(key)}
    return not all(key.lower().startswith(LIVE_KEYS) for key in changed)


def keys_of(change: Change, value: Json) -> dict[str, Any]:
    """The keys of the extra configuration on one side of a change of ``native``, or of a part of
    it.
    """
    for key in change.path[1:][::-1]:
        value = {key: value}
    if not isinstance(value, Mapping):
        return {}
    return {
        key: text
        for own in value.values()
        if isinstance(own, Mapping)
        for key, text in (own.get("extraConfig") or {}).items()
        if text is not None
    }


def figures(observed: Present, change: Change) -> dict[str, str]:
    """What reasons name: ``after``, ``cores``, ``most`` and ``step``."""
    return {
        "after": str(change.after),
        "cores": str(cores(observed)),
        "most": format_size(_fact(observed, MOST_MEMORY)),
        "step": format_size(_fact(observed, MEMORY_STEP)),
    }


def cores(observed: Present) -> int:
    """The cores in each socket of the machine as it is."""
    return max(1, _number(get_path(observed.spec, ("cpu", "topology", "cores")), 1))


def _hot_add(observed: Present, change: Change) -> bool:
    return get_path(observed.spec, (change.path[0], "hotAdd")) is True


def _grows(change: Change) -> bool:
    return _number(change.after, 1) > _number(change.before, 1)


def _fact(observed: Present, name: str) -> int:
    return _number(observed.facts.get(name), 0)


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
