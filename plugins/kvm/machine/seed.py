"""The NoCloud seed: a small CD image with the first configuration of a guest. Pure.

Source: cloud-init, "NoCloud" (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html):
a volume labelled ``cidata`` with the files ``meta-data``, ``user-data`` and ``network-config``.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pycdlib

from provisioner.core.values import Secret
from provisioner.providers.api import Resource, SecretResolver

LABEL = "cidata"
_MARK = ".seed-"
_DIGITS = 16
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def files(resource: Resource, secrets: SecretResolver) -> dict[str, bytes]:
    """The files of a machine's seed, by name. Raises ProvisionerError (PRV1501) for a secret that
    is not there.
    """
    section: Mapping[str, Any] = resource.spec.get("cloudInit", {})
    # The instance id stays the same as long as the machine does: another one would have the guest
    # configured anew.
    meta = {
        "instance-id": str(resource.uid),
        "local-hostname": resource.name,
        **section.get("metaData", {}),
    }
    found = {
        # A JSON string is a YAML one, and needs no library that knows what has to be quoted.
        "meta-data": "".join(
            f"{key if _PLAIN.fullmatch(key) else json.dumps(key)}: {json.dumps(value)}\n"
            for key, value in sorted(meta.items())
        ),
        "user-data": _text(section.get("userData"), secrets) or "#cloud-config\n{}\n",
    }
    network = _text(section.get("networkConfig"), secrets)
    if network is not None:
        found["network-config"] = network
    return {name: text.encode() for name, text in found.items()}


def _text(value: Any, secrets: SecretResolver) -> str | None:
    if value is None or isinstance(value, str):
        return value
    secret: Secret = secrets.resolve(value["secretRef"])
    return secret.reveal()


def image(content: Mapping[str, bytes]) -> bytes:
    """A CD image (ISO 9660 with Joliet and Rock Ridge) of these files; the same files give the same
    guest-visible content, but not the same bytes, because the image holds the time.
    """
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for number, (name, data) in enumerate(sorted(content.items())):
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/F{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def volume_name(name: str, uid: UUID, content: Mapping[str, bytes]) -> str:
    """What the seed's volume is called: another content has another name."""
    digest = hashlib.sha256()
    for file, data in sorted(content.items()):
        digest.update(f"{file}\0{len(data)}\0".encode() + data)
    return f"{prefix(name, uid)}{digest.hexdigest()[:_DIGITS]}.iso"


def prefix(name: str, uid: UUID) -> str:
    """What the names of all seeds of a machine begin with."""
    return f"{name}.{uid.hex[:8]}{_MARK}"
