"""The extra configuration of a machine that a manifest asks for: cloud-init's data, and the keys of
``native``. Pure, but for the secrets that it resolves.

Source: cloud-init, "VMware" datasource
(https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html): the guest reads the
``guestinfo`` keys through VMware Tools. Whoever may read the machine's configuration on the
endpoint can read them, too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Change, Resource, SecretResolver
from provisioner_plugins.vmware.refusal import unusable
from provisioner_plugins.vmware.stamp import FIELD

_METADATA, _USERDATA = "guestinfo.metadata", "guestinfo.userdata"
_WRITTEN: Sequence[tuple[str, str]] = (
    (r"displayname", "metadata"),
    (r"annotation", "description"),
    (r"uuid\.(bios|location)|vc\.uuid", "its identity"),
    (r"numvcpus", "cpu.count"),
    (r"cpuid\.corespersocket", "cpu.topology"),
    (r"vcpu\.hotadd", "cpu.hotAdd"),
    (r"vhv\.enable", "cpu.nested"),
    (r"sched\.cpu\.(min|max|shares|units)", "cpu"),
    (r"memsize", "memory.size"),
    (r"mem\.hotadd", "memory.hotAdd"),
    (r"sched\.mem\.(min|minsize|max|shares)", "memory"),
    (r"firmware|uefi\.secureboot\.enabled", "firmware.type"),
    (r"vtpm\.present", "firmware.tpm"),
    (r"virtualhw\.version", "machineType"),
    (r"guestos", "guestOs"),
    (r"bios\.(bootorder|hddorder)", "bootOrder of disks, nics and cdroms"),
    (
        r"ethernet\d+\.(present|virtualdev|networkname|dvs\..*|connectiontype|startconnected|"
        r"address|addresstype|generatedaddress)",
        "nics",
    ),
    (r"(scsi|sata|nvme|ide)\d+\.(present|virtualdev)", "the bus of disks and cdroms"),
    (
        r"(scsi|sata|nvme|ide)\d+:\d+\.(present|filename|devicetype|startconnected)",
        "disks and cdroms",
    ),
)
"""Keys of a machine's file that vSphere writes from common fields, whole and in small letters: an
endpoint ignores or refuses them here, or the two contradict each other.
"""
CLOUD_INIT = (_METADATA, f"{_METADATA}.encoding", _USERDATA, f"{_USERDATA}.encoding")


def asked_for(resource: Resource, provider: str, secrets: SecretResolver) -> dict[str, str]:
    """Keys and values of a new machine. Raises ProvisionerError (PRV1501) for a secret that is not
    there.
    """
    return {**_native(resource.spec, provider), **_cloud_init(resource, secrets)}


def differing(
    resource: Resource, changes: Sequence[Change], provider: str, secrets: SecretResolver
) -> dict[str, str]:
    """What changes of a machine's; an empty value takes a key away."""
    found: dict[str, str] = {}
    for change in changes:
        if change.path[0] == "cloudInit":
            found |= dict.fromkeys(CLOUD_INIT, "") | _cloud_init(resource, secrets)
        elif change.path[0] == "native":
            before = change.before
            for key in change.path[1:][::-1]:
                before = {key: before}
            found |= dict.fromkeys(_native({"native": before or {}}, provider), "")
            found |= _native(resource.spec, provider)
    return found


def contradictions(spec: Mapping[str, Any], provider: str) -> Iterator[Diagnostic]:
    """A diagnostic for each key of ``native`` that something else of the manifest writes."""
    for key in _native(spec, provider):
        path = ("native", provider, "extraConfig", key)
        if key == FIELD or key.startswith("provisioner."):
            yield unusable(path, "it says whose the machine is", "Remove it.")
        elif key in CLOUD_INIT and "cloudInit" in spec:
            yield unusable(path, "cloudInit writes it", "Remove one of the two.")
        elif (field := _written_by(key)) is not None:
            yield unusable(path, f"it is what {field} says", "Remove it.")


def _written_by(key: str) -> str | None:
    """The common field that a key is written from."""
    here = (field for keys, field in _WRITTEN if re.fullmatch(keys, key.lower()))
    return next(here, None)


def _native(spec: Mapping[str, Any], provider: str) -> dict[str, str]:
    own = (spec.get("native") or {}).get(provider) or {}
    return dict(own.get("extraConfig") or {})


def _cloud_init(resource: Resource, secrets: SecretResolver) -> dict[str, str]:
    if "cloudInit" not in resource.spec:
        return {}
    section: Mapping[str, Any] = resource.spec["cloudInit"]
    # The instance id stays the same as long as the machine does: another one would have the guest
    # configured anew.
    meta: dict[str, Any] = {
        "instance-id": str(resource.uid),
        "local-hostname": resource.name,
        **section.get("metaData", {}),
    }
    network = _text(section.get("networkConfig"), secrets)
    if network is not None:
        meta |= {"network": _encoded(network), "network.encoding": "base64"}
    user = _text(section.get("userData"), secrets) or "#cloud-config\n{}\n"
    found: dict[str, str] = {}
    for key, text in ((_METADATA, json.dumps(meta)), (_USERDATA, user)):
        found |= {key: _encoded(text), f"{key}.encoding": "base64"}
    return found


def _text(value: Any, secrets: SecretResolver) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return secrets.resolve(value["secretRef"]).reveal()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
