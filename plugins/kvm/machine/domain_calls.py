"""Calls to one domain. It is found by its UUID, anew on each connection, so that it outlives a
restart of the daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from provisioner.core.address import Address
from provisioner.providers.api import ProviderError, Terminal
from provisioner_plugins._libvirt import metadata
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import NOT_FOUND, code_of
from provisioner_plugins._libvirt.xml import Element, parse, serialize
from provisioner_plugins.kvm.domain import native, standby
from provisioner_plugins.kvm.domain.running import as_definition

T = TypeVar("T")

_SECURE = libvirt.VIR_DOMAIN_XML_SECURE
_CONFIGURED = libvirt.VIR_DOMAIN_XML_INACTIVE | _SECURE
"""With the passwords that are in it: a definition without them would lose them when it is written
back."""


class DomainCalls:
    """One domain on one daemon; ``name`` is for messages, ``address`` for progress."""

    def __init__(self, connection: Connection, uuid: UUID, name: str, address: Address) -> None:
        self.connection = connection
        self.uuid = uuid
        self.name = name
        self.address = address
        self._found: tuple[Any, Any] | None = None

    def call(self, verb: str, function: Callable[[Any], T]) -> T:
        """Run ``function`` on libvirt's domain, once."""
        return self.connection.call(
            f"{verb} machine {self.name}", lambda handle: function(self._domain(handle))
        )

    def read(self, verb: str, function: Callable[[Any], T]) -> T:
        """As :meth:`call`, for what only reads."""
        return self.connection.read(
            f"{verb} machine {self.name}", lambda handle: function(self._domain(handle))
        )

    def lasting(self, verb: str, function: Callable[[Any], T]) -> tuple[T, Callable[[], None]]:
        """As :meth:`call`, for what goes on after it; see :meth:`Connection.lasting`."""
        return self.connection.lasting(
            f"{verb} machine {self.name}",
            lambda handle: function(handle.lookupByUUID(self.uuid.bytes)),
        )

    def _domain(self, handle: Any) -> Any:
        """libvirt's domain, which is no more than its UUID on a connection: one that is gone says
        so when it is asked for something.
        """
        found = self._found
        if found is None or found[0] is not handle:
            # Another thread may keep what it found on another handle at the same time.
            found = self._found = handle, handle.lookupByUUID(self.uuid.bytes)
        return found[1]

    def report(self, text: str) -> None:
        """Tell the person who waits what takes time."""
        self.connection.context.progress(self.address, text)

    def configured(self) -> Element:
        """The definition that the next start takes; of a machine that has none, what runs."""

        def read(domain: Any) -> tuple[str, bool]:
            # Asked for the definition of one that was undefined, libvirt tells the old one.
            is_defined = bool(domain.isPersistent())
            return domain.XMLDesc(_CONFIGURED if is_defined else _SECURE), is_defined

        text, is_defined = self.read("read", read)
        return parse(text) if is_defined else as_definition(parse(text))

    def is_defined(self) -> bool:
        """Whether it has a definition that outlives its run."""
        return bool(self.read("read", lambda domain: domain.isPersistent()))

    def require_free(self) -> None:
        """Raise Terminal (PRV5380) if it stands by, and so is not to be started."""
        self.read("read", self._require_free)

    def _require_free(self, domain: Any) -> None:
        mark = standby.read(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
        if mark is not None:
            raise Terminal(standby.refusal(self.name, str(self.address), mark))

    def start(self, flags: int) -> None:
        """Start it, if it does not run: the one place where that is done. Raises Terminal (PRV5380)
        if it stands by. ``flags`` are virDomainCreateFlags.
        """

        def start(domain: Any) -> None:
            if not domain.isActive():
                self._require_free(domain)
                domain.createWithFlags(flags)

        self.call("start", start)

    def is_saved(self) -> bool:
        """Whether its next start goes on from a saved state."""
        return bool(self.read("read", lambda domain: domain.hasManagedSaveImage(0)))

    def live(self, *, to_define: bool = False) -> Element | None:
        """The definition in force; None if the machine does not run. ``to_define``: with the
        passwords in it.
        """

        def read(domain: Any) -> str | None:
            return domain.XMLDesc(_SECURE if to_define else 0) if domain.isActive() else None

        try:
            text = self.read("read", read)
        except Terminal as problem:
            if code_of(problem) == libvirt.VIR_ERR_OPERATION_INVALID:
                return None
            raise
        return parse(text) if text is not None else None

    def state(self) -> int:
        """The virDomainState; VIR_DOMAIN_SHUTOFF for a domain that is not there."""
        try:
            return int(self.read("read the state of", lambda domain: domain.state()[0]))
        except ProviderError as problem:
            if code_of(problem) in NOT_FOUND:
                return int(libvirt.VIR_DOMAIN_SHUTOFF)
            raise

    def define(self, document: Element) -> tuple[str, ...]:
        """Write the definition; the previous one stays where libvirt refuses it. Returns notes.

        An author's fragments that libvirt tells in other words are recorded in these, too.
        """
        notes = self._define(document)
        if not native.recorded(document):
            return notes
        found = self.configured()
        is_new, remarks = native.settle(found)
        return (*notes, *remarks, *(self._define(found) if is_new else ()))

    def _define(self, document: Element) -> tuple[str, ...]:
        text = serialize(document)
        _, notes = self.connection.define(
            f"define machine {self.name}", lambda handle: handle.defineXML(text)
        )
        return notes

    def annotate(self, document: Element) -> None:
        """Write the metadata of ``document`` on the machine, configured and running, and nothing
        else of it.
        """

        def write(domain: Any) -> None:
            flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
            if domain.isActive():
                flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
            for key, uri, text in metadata.parts(document):
                if text is None and not _has_metadata(domain, uri):
                    continue
                domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, key, uri, flags)

        self.call("mark", write)

    def set_autostart(self, wanted: bool) -> None:
        """Have it started whenever the host starts, or not. Raises Terminal (PRV5380) if it is
        not to be started.
        """

        def change(domain: Any) -> None:
            if bool(domain.autostart()) != wanted:
                if wanted:
                    self._require_free(domain)
                domain.setAutostart(int(wanted))

        self.call("set autostart of", change)


def _has_metadata(domain: Any, uri: str) -> bool:
    try:
        domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, uri)
    except libvirt.libvirtError as problem:
        if problem.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return False
        raise
    return True
