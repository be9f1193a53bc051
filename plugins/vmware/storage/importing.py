"""Brings an appliance into the inventory: the endpoint makes a machine of its descriptor and leases
it out while the files of its disks are sent (vSphere Web Services API, OvfManager, ImportVApp,
HttpNfcLease). Called by :mod:`~provisioner_plugins.vmware.storage.made_templates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Resource, Retryable, Terminal
from provisioner_plugins.vmware.machine.building import stamped
from provisioner_plugins.vmware.machine.home import Home
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.appliance import Appliance
from provisioner_plugins.vmware.storage.archive import Member
from provisioner_plugins.vmware.storage.local_file import metered
from provisioner_plugins.vmware.storage.ovf import plain_path
from provisioner_plugins.vmware.storage.store import Store
from provisioner_plugins.vmware.wire.errors import LOST, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row, look
from provisioner_plugins.vmware.wire.transfer import Leased, Transfer

_State = vim.HttpNfcLease.State
_LEASE = {vim.HttpNfcLease: ("state", "info", "error")}
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 1.0
_SIGN_OF_LIFE_SECONDS = 5.0
"""A lease ends by itself when nothing is heard for ``leaseTimeout`` seconds, usually 300."""


class Import:
    """One attempt to import an appliance for a resource."""

    def __init__(
        self,
        site: Site,
        resource: Resource,
        source: Appliance,
        store: Store,
        deadline: Deadline,
    ) -> None:
        self._site = site
        self._resource = resource
        self._source = source
        self._store = store
        self._deadline = deadline
        self._what = f"import image {resource.name}"
        self._notes: tuple[str, ...] = ()
        self._transfer = Transfer(site.client)
        self._next_sign = 0.0

    def run(self, name: str, home: Home, mark: Mark) -> tuple[Any, tuple[str, ...]]:
        """The machine, with all its files, and what the endpoint remarked on the descriptor. What
        is left of an attempt that fails is the caller's to remove.
        """
        result = self._read_descriptor(name, home)
        spec = self._marked(result.importSpec, mark)
        lease = self._site.client.call(
            self._what, lambda _: home.pool.ImportVApp(spec, home.folder, home.host)
        )
        try:
            info = self._ready(lease)
            self._send(lease, info, result.fileItem or ())
            self._source.require_unchanged()
            self._call(lambda _: lease.HttpNfcLeaseComplete())
        except ProviderError:
            with suppress(ProviderError):
                self._site.client.call(self._what, lambda _: lease.HttpNfcLeaseAbort(None))
            raise
        self._wait(lease, (_State.initializing, _State.ready))
        return info.entity, self._notes

    def _read_descriptor(self, name: str, home: Home) -> Any:
        params = vim.OvfManager.CreateImportSpecParams(
            locale="", deploymentOption="", entityName=name, diskProvisioning="thin"
        )
        datastore = self._site.client.managed(vim.Datastore, self._store.moid)
        result = self._site.client.call(
            f"read the descriptor of image {self._resource.name}",
            lambda content: content.ovfManager.CreateImportSpec(
                self._source.descriptor, home.pool, datastore, params
            ),
        )
        if result.error:
            raise Terminal(_refused(self._resource, "; ".join(map(_words, result.error))))
        if not isinstance(result.importSpec, vim.vm.VmImportSpec):
            raise Terminal(_refused(self._resource, "It makes a vApp of it, and no machine"))
        self._notes = tuple(dict.fromkeys(map(_words, result.warning or ())))
        return result

    def _marked(self, spec: Any, mark: Mark) -> Any:
        """What the endpoint has made of the descriptor, with our identity. Network cards are left
        out: a machine that is cloned has those of its manifest.
        """
        config, uuid = spec.configSpec, str(self._resource.uid)
        config.instanceUuid = config.uuid = uuid
        config.extraConfig = [*(config.extraConfig or ()), stamped(mark)]
        config.deviceChange = [
            change
            for change in config.deviceChange or ()
            if not isinstance(change.device, vim.vm.device.VirtualEthernetCard)
        ]
        return spec

    def _ready(self, lease: Any) -> Any:
        row = self._wait(lease, (_State.initializing,))
        if row is None:
            raise Retryable(_lost(self._resource), LOST.after or 1.0)
        if row.get("state") == _State.error:
            raise self._site.client.failure_of(row.get("error"), self._what)
        return row.get("info")

    def _wait(self, lease: Any, states: tuple[Any, ...]) -> Row | None:
        """The lease once it is in none of these states; None if nobody knows it any more."""
        pause = 0.0
        while True:
            row = next(iter(look(self._site.client, self._what, (lease,), _LEASE)), None)
            if row is None or row.get("state") not in states:
                return row
            if self._deadline.passed:
                raise Retryable(_late(self._resource))
            pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, pause * 1.5))
            self._site.sleep(min(pause, self._deadline.remaining()))

    def _send(self, lease: Any, info: Any, items: Any) -> None:
        """All files, one after the other."""
        urls = {str(item.importKey): item for item in info.deviceUrl or ()}
        files = [(item, self._file(item)) for item in items]
        total = sum(member.size for _, member in files)
        done = 0
        for item, member in files:
            url = urls.get(str(item.deviceId))
            if url is None:
                raise Terminal(_refused(self._resource, f"It takes no file {item.path!r}"))
            chunks = metered(
                self._source.content(member),
                member.size,
                partial(self._report, done, total),
                self._deadline,
            )
            leased = Leased(str(url.url), str(url.sslThumbprint or ""), bool(item.create))
            alive = self._with_signs_of_life(lease, chunks, done, total)
            self._transfer.give(self._what, leased, member.size, alive)
            done += member.size

    def _file(self, item: Any) -> Member:
        member = self._source.files.get(plain_path(str(item.path)))
        if member is None:
            raise Terminal(_refused(self._resource, f"It asks for a file {item.path!r}"))
        return member

    def _report(self, before: int, total: int, done: int, _: int) -> None:
        progress = self._site.client.context.progress
        progress(self._resource.address, "upload", before + done, total)

    def _with_signs_of_life(
        self, lease: Any, chunks: Iterator[bytes], done: int, total: int
    ) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            now = self._deadline.clock.monotonic()
            if now >= self._next_sign:
                self._next_sign = now + _SIGN_OF_LIFE_SECONDS
                percent = min(99, done * 100 // total)
                self._call(partial(_progress, lease, percent))

    def _call(self, function: Callable[[Any], Any]) -> None:
        """A call about the lease, which may be gone with its session."""
        try:
            self._site.client.call(self._what, function)
        except Terminal as problem:
            if problem.diagnostic.code != VANISHED.code:
                raise
            raise Retryable(_lost(self._resource), LOST.after or 1.0) from problem


def _progress(lease: Any, percent: int, _: Any) -> None:
    lease.HttpNfcLeaseProgress(percent)


def _words(fault: Any) -> str:
    """What the endpoint says of a descriptor, in words."""
    kind = type(fault).__name__.rsplit(".", 1)[-1]
    return str(fault.msg or kind).strip().rstrip(".")


def _refused(resource: Resource, found: str) -> Diagnostic:
    return error(
        "PRV5357",
        f"the endpoint cannot import image {resource.name}",
        detail=f"{found}.",
        hint="Have the appliance exported anew for vSphere: ovftool OLD.ova NEW.ova.",
        path=("source",),
        address=str(resource.address),
    )


def _lost(resource: Resource) -> Diagnostic:
    return error(
        LOST.code,
        f"import image {resource.name}: the endpoint has ended the import",
        detail="Its lease is gone: the session ended, or nothing was heard for too long.",
        hint="It begins anew at the next attempt.",
        address=str(resource.address),
    )


def _late(resource: Resource) -> Diagnostic:
    return error(
        "PRV5352",
        f"import image {resource.name}: it did not end in time",
        hint="Raise limits.stepTimeout in the Host's manifest.",
        address=str(resource.address),
    )
