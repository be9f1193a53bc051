"""What a clone of a template is to be, as vSphere's VirtualMachineCloneSpec.

What the manifest leaves out stays as it is in the template. Source: vSphere Web Services API,
VirtualMachine.CloneVM_Task and VirtualMachineRelocateSpec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.allocation import CPU, MEMORY
from provisioner_plugins.vmware.machine import building, customizing
from provisioner_plugins.vmware.machine.home import Home
from provisioner_plugins.vmware.machine.reading import Machine, firmware_of
from provisioner_plugins.vmware.machine.record import CARD
from provisioner_plugins.vmware.machine.source import Source, mode_of
from provisioner_plugins.vmware.machine.surroundings import Surroundings

_Moves = vim.vm.RelocateSpec.DiskMoveOptions


def clone(
    resource: Resource, source: Source, home: Home, around: Surroundings, extra: Mapping[str, str]
) -> Any:
    """The specification; identity and mark are in it. ``extra`` is what else the extra
    configuration holds.
    """
    template, spec = source.machine, resource.spec
    config = building.edited(resource, template, _whole(template, spec), around, extra)
    config.instanceUuid = config.uuid = str(resource.uid)
    is_linked = mode_of(resource) == "linked"
    found = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(
            pool=home.pool,
            host=home.host,
            datastore=home.datastore,
            diskMoveType=_Moves.createNewChildDiskBacking
            if is_linked
            else _Moves.moveAllDiskBackingsAndDisallowSharing,
        ),
        config=config,
        template=False,
        powerOn=False,
        snapshot=source.snapshot if is_linked else None,
    )
    if "customization" in spec:
        kept = [""] * len(template.record.of_sort(CARD))
        cards = sorted(spec["nics"]) if "nics" in spec else kept
        found.customization = customizing.specification(resource, cards)
    return found


def _whole(template: Machine, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of the copy: the template's, with what the manifest says laid over it."""
    record = template.record
    cpu = {
        "count": record.processors,
        "hotAdd": record.more_processors,
        "nested": record.nested,
        **record.cpu.section(CPU),
        **wanted.get("cpu", {}),
    }
    # Sockets are whole: a count of its own may not go with the template's cores.
    if int(cpu["count"]) % record.cores == 0:
        cpu.setdefault("topology", {"cores": record.cores})
    memory = {"hotAdd": record.more_memory, **record.ram.section(MEMORY), **wanted["memory"]}
    return {
        "description": record.annotation,
        "guestOs": record.guest,
        **wanted,
        "cpu": cpu,
        "memory": memory,
        "firmware": {**firmware_of(record), **wanted.get("firmware", {})},
    }
