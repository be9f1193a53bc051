"""Sessions of the vSphere providers at a simulator of the lab, without the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Secret
from provisioner.providers.api import Context, Endpoint, Memory, NoMemory, Resource
from provisioner_plugins.vmware import esxi, vcenter
from provisioner_plugins.vmware.provider import VmwareProvider
from provisioner_plugins.vmware.session import VmwareSession
from tests.lab.vcsim import Vcsim

LINEAGE = UUID("5e1f0a52-9c1f-4d7c-8a55-0c8f0b0d7a11")
MIB = 2**20


class Password:
    """The one secret that there is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def resolve(self, reference: str) -> Secret:
        return Secret(self._text, reference)


def connection_to(vcsim: Vcsim, **rest: Any) -> dict[str, Any]:
    """``Host.spec.connection`` for a simulator, in canonical form."""
    connection = {
        "server": vcsim.host,
        "port": vcsim.port,
        "username": vcsim.user,
        "password": {"secretRef": "env://VSPHERE_PASSWORD"},
        "tls": {"caFile": str(vcsim.ca)},
        "timeouts": {"read": 10_000},
        **({} if vcsim.options.esx else {"cluster": "DC0_C0"}),
        **rest,
    }
    return {key: value for key, value in connection.items() if value is not None}


def provider_of(vcsim: Vcsim) -> VmwareProvider:
    """The provider for this sort of endpoint."""
    return esxi() if vcsim.options.esx else vcenter()


@contextmanager
def session(
    vcsim: Vcsim,
    *,
    password: str | None = None,
    reports: list[str] | None = None,
    warnings: list[Diagnostic] | None = None,
    provider: VmwareProvider | None = None,
    memory: Memory | None = None,
    **connection: Any,
) -> Iterator[VmwareSession]:
    """A session, closed at the end. ``reports`` gets what it tells the person who waits,
    ``warnings`` what it warns of; without
    ``memory`` it remembers nothing.
    """
    provider = provider or provider_of(vcsim)
    told: list[str] = [] if reports is None else reports
    warned: list[Diagnostic] = [] if warnings is None else warnings
    context = Context(
        Path("/"),
        SystemClock(),
        Password(vcsim.password if password is None else password),
        lambda _address, text, _done=0, _total=0: told.append(text),
        NoMemory() if memory is None else memory,
        warned.append,
    )
    name = provider.describe().name
    opened = provider.open(Endpoint("lab", name, connection_to(vcsim, **connection)), context)
    assert isinstance(opened, VmwareSession)
    try:
        yield opened
    finally:
        opened.close()


def machine(name: str, **spec: Any) -> Resource:
    """A machine of a stack."""
    return resource("VirtualMachine", name, {"memory": {"size": 64 * MIB}, **spec})


def resource(kind: str, name: str, spec: Mapping[str, Any], **rest: Any) -> Resource:
    """A resource of a stack."""
    address = Address(kind, name)
    stamp = Stamp(str(LINEAGE), str(address))
    return Resource(address, name, identity(LINEAGE, address), stamp, spec, **rest)


def soon(seconds: float = 60.0) -> Deadline:
    """A deadline from now."""
    return Deadline.after(seconds, SystemClock())
