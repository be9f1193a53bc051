"""The half of the plugin that speaks to a host: passes each call of the contract to the handler of
its kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Change,
    Context,
    Discovered,
    Endpoint,
    Observation,
    Outcome,
    Present,
    Resource,
    Session,
    Terminal,
)
from provisioner.providers.capabilities import (
    ConsoleStream,
    GraphicsAddress,
    GuestResult,
    Lease,
    Point,
    Replica,
    ReplicaState,
    Taken,
    Undertaking,
    User,
)
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.handler import KindHandler, LooksAhead, UsedKind
from provisioner_plugins._libvirt.handlers import STORAGE_KINDS, shared_handlers
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.ownership import uuid_or_none
from provisioner_plugins.kvm.machine.console import MachineConsole
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.files import MachineFiles
from provisioner_plugins.kvm.machine.guest import GuestAgentCalls
from provisioner_plugins.kvm.machine.handler import MachineHandler
from provisioner_plugins.kvm.machine.host import Host
from provisioner_plugins.kvm.machine.power import DEFAULT_SHUTDOWN_MS, Power
from provisioner_plugins.kvm.machine.standby import StandbyMarks
from provisioner_plugins.kvm.machine.suitability import unsuitable
from provisioner_plugins.kvm.replication.handler import Replications
from provisioner_plugins.kvm.replication.leases import HostLeases
from provisioner_plugins.kvm.snapshot.handler import SnapshotHandler


class KvmSession:
    """See :class:`provisioner.providers.api.Session`; with the capabilities console, guest-agent,
    leases, power, preflight, replication, snapshot-revert, standby and usage.
    """

    def __init__(self, endpoint: Endpoint, context: Context) -> None:
        """Connect; raises Terminal or Retryable."""
        self._connection = Connection(endpoint, context)
        self._host = Host(self._connection)
        files = MachineFiles(self._connection)
        self._snapshots = SnapshotHandler(self._connection)
        own: tuple[KindHandler, ...] = (
            MachineHandler(self._connection, self._host, files),
            self._snapshots,
        )
        self._handlers = {handler.kind: handler for handler in own}
        self._handlers |= shared_handlers(self._connection)
        self._console = MachineConsole(self._connection, files)
        self._standby = StandbyMarks(self._connection)
        self._replications = Replications(self._connection)
        self._leases = HostLeases(self._connection)

    # --- the contract ---

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """See :class:`provisioner.providers.api.Session`."""
        stored = [target for target in targets if target.kind in STORAGE_KINDS]
        others = [target for target in targets if target.kind not in STORAGE_KINDS]
        with collector_paused():
            if not stored or not others or not self._pays_off(len(targets)):
                return self._observed(targets)
            # The daemon answers about volumes while definitions of machines are read.
            with ThreadPoolExecutor(1, "observe-storage") as beside:
                storage = beside.submit(self._observed, stored)
                return {**self._observed(others), **storage.result()}

    def _pays_off(self, reads: int) -> bool:
        """Whether a second handle is worth its opening."""
        return not self._connection.remote or self._connection.helpers(reads) > 0

    def _observed(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        inventory = Inventory(self._connection)
        groups: dict[str, list[Resource]] = {}
        # Machines first: what is read of them tells, too, who is on a network.
        for target in sorted(targets, key=lambda target: target.kind != MachineHandler.kind):
            groups.setdefault(target.kind, []).append(target)
        result: dict[Address, Observation] = {}
        for kind, group in groups.items():
            result.update(self._handler(kind).observe(inventory, group))
        return result

    def discover(self, kinds: Collection[str]) -> Iterator[Discovered]:
        """See :class:`provisioner.providers.api.Session`."""
        inventory = Inventory(self._connection)
        for kind in sorted(set(kinds) & self._handlers.keys()):
            yield from self._handlers[kind].discover(inventory)

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        return self._handler(resource.kind).create(resource, deadline)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        handler = self._handler(resource.kind)
        return handler.update(resource, observed, changes, restart, deadline)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """See :class:`provisioner.providers.api.Session`."""
        return self._handler(resource.kind).adopt(resource, observed, deadline)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.api.Session`."""
        self._handler(resource.kind).delete(resource, deadline)

    def close(self) -> None:
        """See :class:`provisioner.providers.api.Session`."""
        self._leases.close()
        self._connection.close()

    def _handler(self, kind: str) -> KindHandler:
        handler = self._handlers.get(kind)
        if handler is None:
            raise Terminal(error("PRV2503", f"the provider kvm has no {kind}"))
        return handler

    # --- capabilities ---

    def graphics(self, resource: Resource) -> GraphicsAddress | None:
        """See :class:`provisioner.providers.capabilities.Console`."""
        return self._console.graphics(resource)

    def serial_log(self, resource: Resource) -> str | None:
        """See :class:`provisioner.providers.capabilities.Console`."""
        return self._console.serial_log(resource)

    def serial(self, resource: Resource) -> ConsoleStream:
        """See :class:`provisioner.providers.capabilities.Console`."""
        return self._console.serial(resource)

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.SnapshotRevert`."""
        self._snapshots.revert(snapshot, deadline)

    def preflight(
        self, undertakings: Sequence[Undertaking], deadline: Deadline, *, thorough: bool
    ) -> Sequence[Diagnostic]:
        """See :class:`provisioner.providers.capabilities.Preflight`."""
        machines = [item for item in undertakings if item.resource.kind == MachineHandler.kind]
        found = [*unsuitable(self._host, machines)]
        inventory = Inventory(self._connection)
        for item in undertakings:
            handler = self._handler(item.resource.kind)
            if not isinstance(handler, LooksAhead):
                continue
            try:
                problems = [*handler.preflight(inventory, item, deadline, thorough=thorough)]
            except Terminal as problem:
                problems = [problem.diagnostic]
            found += [problem.about(item.resource.address) for problem in problems]
        return found

    def users(self, resources: Sequence[Resource]) -> Mapping[Address, Sequence[User]]:
        """See :class:`provisioner.providers.capabilities.Usage`."""
        return {resource.address: self._users_of(resource) for resource in resources}

    def _users_of(self, resource: Resource) -> Sequence[User]:
        handler = self._handler(resource.kind)
        return handler.users(resource) if isinstance(handler, UsedKind) else ()

    def power(self, machine: Resource, state: str, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Power`."""
        timeout = int(machine.spec.get("shutdownTimeout", DEFAULT_SHUTDOWN_MS))
        Power(self._domain_of(machine), timeout).bring_to(state, deadline)

    def ready(self, machine: Resource) -> bool:
        """See :class:`provisioner.providers.capabilities.GuestAgent`."""
        return GuestAgentCalls(self._domain_of(machine)).ready()

    def run(self, machine: Resource, argv: Sequence[str], deadline: Deadline) -> GuestResult:
        """See :class:`provisioner.providers.capabilities.GuestAgent`."""
        return GuestAgentCalls(self._domain_of(machine)).run(argv, deadline)

    def stand_by(self, machine: Resource, reason: str, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        self._standby.stand_by(machine, self._domain_of(machine), reason, deadline)

    def take_over(self, machine: Resource, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        self._standby.take_over(machine, self._domain_of(machine), deadline)

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        """See :class:`provisioner.providers.capabilities.Standby`."""
        return self._standby.standing_by(machines)

    def _domain_of(self, machine: Resource) -> DomainCalls:
        uuid = uuid_or_none(machine.external_id or "") or machine.uid
        return DomainCalls(self._connection, uuid, machine.name, machine.address)

    @property
    def connection(self) -> Connection:
        """For the session of the endpoint to which machines are replicated from here."""
        return self._connection

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.replicas(replicas)

    def synchronise(self, replica: Replica, source: Session, deadline: Deadline) -> Point:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.synchronise(replica, _connection_of(source), deadline)

    def suspend(self, replica: Replica, source: Session | None, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        connection = _connection_of(source) if source is not None else None
        self._replications.suspend(replica, connection, deadline)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.stage(replica, point, deadline)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        self._replications.unstage(replica, deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        return self._replications.promote(replica, point, deadline)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """See :class:`provisioner.providers.capabilities.Replication`."""
        self._replications.discard(replica, deadline)

    def hold(
        self,
        name: str,
        holder: str,
        deadline: Deadline,
        *,
        instead_of: str | None = None,
        renews: bool = False,
    ) -> Lease | Taken | None:
        """See :class:`provisioner.providers.capabilities.Leases`."""
        return self._leases.hold(name, holder, deadline, instead_of=instead_of, renews=renews)


def _connection_of(session: Session) -> Connection:
    if not isinstance(session, KvmSession):
        raise Terminal(
            error(
                "PRV5379",
                "the source of a replica at a KVM host is no KVM host",
                hint="Pair sites whose hosts have the same provider.",
            )
        )
    return session.connection
