"""What a step does (:class:`Action`), what that means for a running guest (:class:`Impact`), and
what may be done to a resource at all (:class:`Permission`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Action(StrEnum):
    """The one thing that a step does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    FORGET = "forget"
    RENAME = "rename"


class Permission(StrEnum):
    """What ``metadata.manage`` allows to be done to a resource's object. To look at it is always
    allowed.
    """

    OBSERVE = "observe"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


EVERYTHING = frozenset(Permission)


def permissions(names: Iterable[str] | None) -> frozenset[Permission]:
    """The permissions of these names; all of them where there is no list."""
    return EVERYTHING if names is None else frozenset(map(Permission, names)) | {Permission.OBSERVE}


def permission_names(allowed: frozenset[Permission]) -> list[str] | None:
    """The way back, in the order of :class:`Permission`; None: all."""
    if allowed == EVERYTHING:
        return None
    return [permission.value for permission in Permission if permission in allowed]


class Impact(StrEnum):
    """What carrying a change out does to a running guest, from harmless to irreversible.

    ``none``: nothing that a guest or a user of it could see. ``live``: the guest runs on and sees
    the change. ``restart``: the guest (or the service it depends on) is interrupted. ``replace``:
    the object is removed and made again, or removed for good; data on disks stays. ``data-loss``:
    data is gone afterwards.
    """

    NONE = "none"
    LIVE = "live"
    RESTART = "restart"
    REPLACE = "replace"
    DATA_LOSS = "data-loss"

    @property
    def rank(self) -> int:
        """Position in the order of severity; a higher rank is worse."""
        return _RANKS[self]

    def exceeds(self, other: Impact) -> bool:
        """Whether this impact is worse than ``other``."""
        return self.rank > other.rank


_RANKS = {impact: rank for rank, impact in enumerate(Impact)}


def worst(impacts: list[Impact]) -> Impact:
    """The most severe of ``impacts``; ``none`` if there are none."""
    return max(impacts, key=lambda impact: impact.rank, default=Impact.NONE)
