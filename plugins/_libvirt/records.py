"""What an endpoint has, as values: the records that :mod:`inventory` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Terminal
from provisioner_plugins._libvirt.ownership import uuid_or_none
from provisioner_plugins._libvirt.xml import Element, XmlError, parse


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A domain. ``state`` is a virDomainState.

    Of a domain that has no definition (``persistent`` is false) ``configured`` is what runs:
    libvirt would tell the one that it had once.

    Definitions are kept as text and parsed at each look: hundreds of parsed ones at once keep the
    garbage collector busy for longer than parsing them takes.
    """

    uuid: UUID
    name: str
    configured_text: str = field(repr=False)
    live_text: str | None = field(repr=False)
    state: int
    autostart: bool
    persistent: bool

    @property
    def configured(self) -> Element:
        """The definition that the next start takes, parsed anew."""
        return parsed(self.configured_text)

    @property
    def live(self) -> Element | None:
        """The definition of the running guest, parsed anew; None: not running."""
        return parsed(self.live_text) if self.live_text is not None else None


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A network. ``configured`` is what the next start takes, ``live`` what is in force (None:
    inactive).
    """

    uuid: UUID
    name: str
    configured: Element
    live: Element | None
    autostart: bool
    persistent: bool


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A storage pool."""

    uuid: UUID
    name: str
    document: Element
    active: bool
    autostart: bool
    persistent: bool


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """A volume, as listed; :meth:`Inventory.volume` gives its document. ``found`` is libvirt's
    object, for whoever has the handle that it was found on.
    """

    pool: str
    name: str
    found: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class VolumeListing:
    """The volumes of a pool by name, or why they could not be listed. ``unreadable`` are names
    that are no text.
    """

    volumes: Mapping[str, VolumeRecord] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    problem: Diagnostic | None = None


R = TypeVar("R", DomainRecord, NetworkRecord, PoolRecord)


class Index(Generic[R]):
    """Records of a kind by UUID and by name, in the order of names."""

    def __init__(self, records: Iterable[R]) -> None:
        self.by_name: Mapping[str, R] = {r.name: r for r in sorted(records, key=lambda r: r.name)}
        self.by_uuid: Mapping[UUID, R] = {r.uuid: r for r in self.by_name.values()}

    def find(self, uuid: UUID, external_id: str | None, name: str) -> R | None:
        """By identity, else by the recorded UUID, else by name: the order of the contract."""
        found = self.by_uuid.get(uuid)
        if found is None and external_id is not None:
            found = self.by_uuid.get(uuid_or_none(external_id) or uuid)
        return found if found is not None else self.by_name.get(name)

    def __iter__(self) -> Any:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)


def parsed(text: str) -> Element:
    """A definition that libvirt gave; raises Terminal (PRV5121) if it is none."""
    try:
        return parse(text)
    except XmlError as problem:
        raise unreadable(str(problem)) from problem


def unreadable(found: str) -> ProviderError:
    """The error for a definition that libvirt gave; ``found`` says what is wrong with it."""
    return Terminal(
        error("PRV5121", "a definition that libvirt gave cannot be read", detail=f"{found}.")
    )
