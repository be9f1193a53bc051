"""Clusters of hosts: balancing (DRS), high availability (HA), the processors they show (EVC).

Source: vSphere Web Services API, ClusterConfigSpecEx.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.places import folder_above, is_root
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.specs import touches
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look

_AUTOMATION = {"manual": "manual", "partial": "partiallyAutomated", "full": "fullyAutomated"}
_MONITORING = {
    "off": "vmMonitoringDisabled",
    "machine": "vmMonitoringOnly",
    "application": "vmAndAppMonitoring",
}
_EVC = "summary.currentEVCModeKey"
_ON, _OFF = "enabled", "disabled"
_PERCENTAGES = ("cpuPercent", "memoryPercent")
_PERCENT = 25
"""Taken where the endpoint is to compute it, as it does when it is left out."""
_LEAST_LAZY = 6
"""vSphere counts its threshold from 5, the least eager, down to 1; fields count the other way."""


class ClusterHandler(EntityHandler):
    """Handler of the kind Cluster."""

    kind = "Cluster"
    title = "cluster"
    sort = vim.ClusterComputeResource
    reads: Wanted = MappingProxyType(
        {
            vim.ClusterComputeResource: (
                "configurationEx.dasConfig",
                "configurationEx.drsConfig",
                _EVC,
            )
        }
    )
    places = ("folder",)

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        return folder_above(self._site, inventory, target, "host", "folder")

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        spec: dict[str, Any] = {**_sections(row)}
        if row.get(_EVC):
            spec["evcMode"] = str(row.get(_EVC))
        within, parent = inventory.above(row, vim.Datacenter), inventory.parent(row)
        if within is not None:
            spec["datacenter"] = names.name("Datacenter", within.moid)
        if parent is not None and not is_root(parent, inventory):
            spec["folder"] = names.name("Folder", parent.moid)
        return spec

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: an EVC mode that the vCenter
        does not know (Capability.supportedEVCMode). What the hosts can show they say at apply.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        mode = resource.spec.get("evcMode")
        if mode is None or not (undertaking.creates or touches(undertaking.changes)(("evcMode",))):
            return
        client = self._site.client
        instance = client.managed(vim.ServiceInstance, "ServiceInstance")
        wanted = {vim.ServiceInstance: ("capability",)}
        for row in look(client, f"read the EVC modes for {resource.address}", [instance], wanted):
            modes = getattr(row.get("capability"), "supportedEVCMode", None) or ()
            known = [str(item.key) for item in modes]
            if known and mode not in known:
                yield _unknown_mode(resource, str(mode), known)

    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """See the base."""
        del deadline
        folder = self._site.client.managed(vim.Folder, above)
        config = _config(resource.spec)
        return self._site.client.call(
            f"create cluster {resource.name}",
            lambda _: folder.CreateClusterEx(escaped(resource.name), config),
        )

    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """See the base."""
        now = _sections(row)
        wanted = {name: _whole(name, spec.get(name, {})) for name in now}
        chosen = resource.spec.get("ha", {}).get("admissionControl", {})
        for name in _left_out(chosen):
            wanted["ha"]["admissionControl"].pop(name, None)
        differing = {name: section for name, section in wanted.items() if now[name] != section}
        if differing:
            config, entity = _config(differing), self.entity(row)
            self._site.run(
                f"change cluster {resource.name}",
                lambda _: entity.ReconfigureComputeResource_Task(spec=config, modify=True),
                deadline,
            )
        self._set_evc(resource, row, spec, deadline)

    def _set_evc(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        now = row.get(_EVC) or None
        wanted = spec.get("evcMode")
        if now == wanted:
            return
        entity = self.entity(row)
        what = f"set the EVC mode of cluster {resource.name}"
        manager = self._site.client.call(what, lambda _: entity.EvcManager())
        self._site.run(
            what,
            lambda _: (
                manager.DisableEvcMode_Task()
                if wanted is None
                else manager.ConfigureEvcMode_Task(wanted)
            ),
            deadline,
        )

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Refused while hosts are in it: vSphere would remove them, too."""
        self.require_empty(resource, [self.entity(row)], {vim.ComputeResource: ("host",)})
        super().remove(inventory, resource, row, deadline)


def _unknown_mode(resource: Resource, mode: str, known: Sequence[str]) -> Diagnostic:
    near = get_close_matches(mode, known, n=3)
    return error(
        "PRV5323",
        f"{resource.address}: the vCenter has no EVC mode {quoted(mode)}",
        detail=f"It has {', '.join(known)}.",
        hint=f"Did you mean {' or '.join(near)}?" if near else "Choose one of these.",
        address=str(resource.address),
        path=("evcMode",),
    )


def _sections(row: Row) -> dict[str, dict[str, Any]]:
    return {
        "drs": _read_drs(row.get("configurationEx.drsConfig")),
        "ha": _read_ha(row.get("configurationEx.dasConfig")),
    }


def _whole(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A section with what it leaves out: what a cluster is that says nothing of itself."""
    plain = (_read_drs if name == "drs" else _read_ha)(None)
    whole = {**plain, **given}
    if name == "ha":
        whole["admissionControl"] = {
            **plain["admissionControl"],
            **given.get("admissionControl", {}),
        }
    return whole


def _left_out(chosen: Mapping[str, Any]) -> Sequence[str]:
    """What an endpoint may say of admission control that the author has in another way."""
    if "hostFailures" in chosen:
        return _PERCENTAGES
    return ("hostFailures",) if chosen.keys() & {*_PERCENTAGES} else ()


def _config(spec: Mapping[str, Any]) -> Any:
    """The sections that ``spec`` has."""
    config = vim.cluster.ConfigSpecEx()
    if "drs" in spec:
        drs = _whole("drs", spec["drs"])
        config.drsConfig = vim.cluster.DrsConfigInfo(
            enabled=drs["enabled"],
            defaultVmBehavior=_AUTOMATION[drs["automation"]],
            vmotionRate=_LEAST_LAZY - int(drs["migrationThreshold"]),
        )
    if "ha" in spec:
        ha = _whole("ha", spec["ha"])
        config.dasConfig = vim.cluster.DasConfigInfo(
            enabled=ha["enabled"],
            hostMonitoring=_ON if ha["hostMonitoring"] else _OFF,
            vmMonitoring=_MONITORING[ha["machineMonitoring"]],
            admissionControlEnabled=ha["admissionControl"]["enabled"],
            admissionControlPolicy=_policy(ha["admissionControl"]),
        )
    return config


def _policy(admission: Mapping[str, Any]) -> Any:
    if "hostFailures" in admission:
        return vim.cluster.FailoverLevelAdmissionControlPolicy(
            failoverLevel=admission["hostFailures"]
        )
    computes = "cpuPercent" not in admission
    # A vCenter computes the percentages where it is not told otherwise.
    return vim.cluster.FailoverResourcesAdmissionControlPolicy(
        cpuFailoverResourcesPercent=admission.get("cpuPercent", _PERCENT),
        memoryFailoverResourcesPercent=admission.get("memoryPercent", _PERCENT),
        autoComputePercentages=computes,
        failoverLevel=1 if computes else None,
    )


def _read_drs(found: Any) -> dict[str, Any]:
    words = {value: word for word, value in _AUTOMATION.items()}
    rate = int(getattr(found, "vmotionRate", None) or 3)
    return {
        "enabled": bool(getattr(found, "enabled", False)),
        "automation": words.get(str(getattr(found, "defaultVmBehavior", None)), "full"),
        "migrationThreshold": _LEAST_LAZY - rate,
    }


def _read_ha(found: Any) -> dict[str, Any]:
    words = {value: word for word, value in _MONITORING.items()}
    admission: dict[str, Any] = {
        "enabled": getattr(found, "admissionControlEnabled", None) is not False
    }
    policy = getattr(found, "admissionControlPolicy", None)
    if isinstance(policy, vim.cluster.FailoverLevelAdmissionControlPolicy):
        admission["hostFailures"] = int(policy.failoverLevel)
    elif isinstance(policy, vim.cluster.FailoverResourcesAdmissionControlPolicy):
        if policy.autoComputePercentages is False:
            admission["cpuPercent"] = int(policy.cpuFailoverResourcesPercent)
            admission["memoryPercent"] = int(policy.memoryFailoverResourcesPercent)
        elif policy.failoverLevel is not None:
            admission["hostFailures"] = int(policy.failoverLevel)
    return {
        "enabled": bool(getattr(found, "enabled", False)),
        "hostMonitoring": str(getattr(found, "hostMonitoring", None) or _ON) == _ON,
        "machineMonitoring": words.get(str(getattr(found, "vmMonitoring", None)), "off"),
        "admissionControl": admission,
    }
