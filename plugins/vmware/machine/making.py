"""Makes machines: empty ones, and copies of a template. Before anything is made, a machine with the
identity of the resource is looked for, and creations that run already are waited for: one of them
may be of an attempt whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.machine import building, cloning
from provisioner_plugins.vmware.machine.extra import asked_for
from provisioner_plugins.vmware.machine.home import Home, home_of
from provisioner_plugins.vmware.machine.power import find
from provisioner_plugins.vmware.machine.source import entity_of, source_of
from provisioner_plugins.vmware.machine.surroundings import Surroundings
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.errors import EXISTS

_CREATION, _CLONE = "Folder.createVm", "VirtualMachine.clone"
"""``TaskInfo.descriptionId`` of the tasks that make machines."""


class _Call(NamedTuple):
    """What makes a machine: ``begin`` gives the task, which the managed object ``owner`` lists as
    an ``operation``.
    """

    owner: Any
    operation: str
    begin: Callable[[], Any]


class Maker:
    """Makes the machines of one session. Thread-safe."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._settled: set[str] = set()
        """Where no creation of an earlier run is under way any more."""
        self._running: dict[str, UUID] = {}
        """Tasks that are waited for here, with whose machine each makes."""

    def make(self, resource: Resource, deadline: Deadline) -> tuple[Any, bool]:
        """The machine, and whether this call has made it."""
        is_copy = "clone" in resource.spec
        machine = find(self._site, str(resource.uid))
        if machine is not None and is_copy and resource.begun:
            machine = self._whole(resource, machine, deadline)
        if machine is not None:
            return machine, False
        home = home_of(self._site, resource)
        call = self._clone(resource, home) if is_copy else self._new(resource, home)
        is_settled = call.owner._GetMoId() in self._settled
        if resource.begun or not is_settled:
            begun = self._await(resource, call.owner, call.operation, deadline)
            machine = find(self._site, str(resource.uid)) if begun else None
            if machine is not None:
                return machine, False
        try:
            return self._run(resource, call, deadline), True
        except Terminal as problem:
            # Another attempt at the very same one may have been faster. That a name is taken is
            # known to the endpoint alone.
            if problem.diagnostic.code != EXISTS.code:
                raise
            self._await(resource, call.owner, call.operation, deadline)
            machine = find(self._site, str(resource.uid))
            if machine is None:
                raise
            return machine, False

    def _whole(self, resource: Resource, machine: Any, deadline: Deadline) -> Any:
        """A copy may be found before it is whole, and be gone again where it does not get there."""
        template = entity_of(self._site, resource)
        if template is None or not self._await(resource, template, _CLONE, deadline):
            return machine
        return find(self._site, str(resource.uid))

    def _new(self, resource: Resource, home: Home) -> _Call:
        around = Surroundings(self._site, resource)
        config = building.new(resource, around, home.datastore_name, self._extra(resource))
        return _Call(
            home.folder, _CREATION, lambda: home.folder.CreateVM_Task(config, home.pool, home.host)
        )

    def _clone(self, resource: Resource, home: Home) -> _Call:
        source = source_of(self._site, resource)
        around = Surroundings(self._site, resource)
        spec = cloning.clone(resource, source, home, around, self._extra(resource))
        name = escaped(resource.name)
        return _Call(
            source.entity, _CLONE, lambda: source.entity.CloneVM_Task(home.folder, name, spec)
        )

    def _extra(self, resource: Resource) -> dict[str, str]:
        secrets = self._site.client.context.secrets
        try:
            return asked_for(resource, self._site.flavour.name, secrets)
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem

    def _run(self, resource: Resource, call: _Call, deadline: Deadline) -> Any:
        known: list[str] = []

        def begin(_: Any) -> Any:
            task = call.begin()
            known.append(task._GetMoId())
            self._running[known[0]] = resource.uid
            return task

        try:
            return self._site.run(f"create machine {resource.name}", begin, deadline)
        finally:
            for moid in known:
                self._running.pop(moid, None)

    def _await(self, resource: Resource, owner: Any, operation: str, deadline: Deadline) -> bool:
        """Wait for creations that run there; whether there were any. Those of other resources that
        this session waits for are none of this one's: copies of one template take their time, and
        go side by side.
        """
        running = self._running.copy().items()
        known = {moid for moid, uid in running if uid != resource.uid}
        begun = self._site.tasks.await_others(owner, operation, deadline, known=known)
        self._settled.add(owner._GetMoId())
        return begun
