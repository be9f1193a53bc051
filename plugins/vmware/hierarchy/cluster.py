"""Clusters of hosts: balancing (DRS), high availability (HA), the processors they show (EVC).

Source: vSphere Web Services API, ClusterConfigSpecEx.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.places import folder_above, is_root
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

_AUTOMATION = {"manual": "manual", "partial": "partiallyAutomated", "full": "fullyAutomated"}
_MONITORING = {
    "off": "vmMonitoringDisabled",
    "machine": "vmMonitoringOnly",
    "application": "vmAndAppMonitoring",
}
_ON, _OFF = "enabled", "disabled"
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
                "summary",
            )
        }
    )
    places = ("folder",)

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        return folder_above(self._site, inventory, target, "host", "folder")

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        spec: dict[str, Any] = {
            "drs": _read_drs(row.get("configurationEx.drsConfig")),
            "ha": _read_ha(row.get("configurationEx.dasConfig")),
        }
        evc = getattr(row.get("summary"), "currentEVCModeKey", None)
        if evc:
            spec["evcMode"] = str(evc)
        within, parent = inventory.above(row, vim.Datacenter), inventory.parent(row)
        if within is not None:
            spec["datacenter"] = names.name("Datacenter", within.moid)
        if parent is not None and not is_root(parent, inventory):
            spec["folder"] = names.name("Folder", parent.moid)
        return spec

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
        now = {
            "drs": _read_drs(row.get("configurationEx.drsConfig")),
            "ha": _read_ha(row.get("configurationEx.dasConfig")),
        }
        wanted = _config({"drs": now["drs"] | _deep(spec, "drs"), "ha": _merged_ha(now, spec)})
        what = f"change cluster {resource.name}"
        entity = self.entity(row)
        self._site.run(
            what,
            lambda _: entity.ReconfigureComputeResource_Task(spec=wanted, modify=True),
            deadline,
        )
        self._set_evc(resource, row, spec, deadline)

    def _set_evc(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        now = getattr(row.get("summary"), "currentEVCModeKey", None) or None
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

    def remove(self, resource: Resource, row: Row, deadline: Deadline) -> None:
        """Refused while hosts are in it: vSphere would remove them, too."""
        self.require_empty(resource, [self.entity(row)], {vim.ComputeResource: ("host",)})
        super().remove(resource, row, deadline)


def _deep(spec: Mapping[str, Any], section: str) -> dict[str, Any]:
    return dict(spec.get(section, {}))


def _merged_ha(now: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    wanted = _deep(spec, "ha")
    admission = {**now["ha"]["admissionControl"], **wanted.get("admissionControl", {})}
    return {**now["ha"], **wanted, "admissionControl": admission}


def _config(spec: Mapping[str, Any]) -> Any:
    drs, ha = spec.get("drs", {}), spec.get("ha", {})
    config = vim.cluster.ConfigSpecEx()
    config.drsConfig = vim.cluster.DrsConfigInfo(
        enabled=drs.get("enabled", False),
        defaultVmBehavior=_AUTOMATION[drs.get("automation", "full")],
        vmotionRate=_LEAST_LAZY - int(drs.get("migrationThreshold", 3)),
    )
    admission = ha.get("admissionControl", {})
    config.dasConfig = vim.cluster.DasConfigInfo(
        enabled=ha.get("enabled", False),
        hostMonitoring=_ON if ha.get("hostMonitoring", True) else _OFF,
        vmMonitoring=_MONITORING[ha.get("machineMonitoring", "off")],
        admissionControlEnabled=admission.get("enabled", True),
        admissionControlPolicy=_policy(admission),
    )
    return config


def _policy(admission: Mapping[str, Any]) -> Any:
    if "hostFailures" in admission:
        return vim.cluster.FailoverLevelAdmissionControlPolicy(
            failoverLevel=admission["hostFailures"]
        )
    if {"cpuPercent", "memoryPercent"} & admission.keys():
        return vim.cluster.FailoverResourcesAdmissionControlPolicy(
            cpuFailoverResourcesPercent=admission.get("cpuPercent", 25),
            memoryFailoverResourcesPercent=admission.get("memoryPercent", 25),
        )
    return None


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
        admission["cpuPercent"] = int(policy.cpuFailoverResourcesPercent)
        admission["memoryPercent"] = int(policy.memoryFailoverResourcesPercent)
    return {
        "enabled": bool(getattr(found, "enabled", False)),
        "hostMonitoring": str(getattr(found, "hostMonitoring", None) or _ON) == _ON,
        "machineMonitoring": words.get(str(getattr(found, "vmMonitoring", None)), "off"),
        "admissionControl": admission,
    }
