"""What the memory provider says of itself: kinds, schemas, capabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.providers.api import API_VERSION, Description, Naming
from provisioner.providers.capabilities import (
    LEASES,
    POWER,
    REPLICATION,
    SNAPSHOT_REVERT,
    STANDBY,
    USAGE,
)
from provisioner_plugins.memory.faults import CALLS
from provisioner_plugins.memory.faults import SCHEMA as FAULTS_SCHEMA

NAMING: Mapping[str, Naming] = {
    "Network": Naming.UNIQUE,
    "StoragePool": Naming.UNIQUE,
    # Images and disks are told apart by identity, so that a successor can be made before its
    # predecessor goes.
    "Image": Naming.FREE,
    "Disk": Naming.FREE,
    "VirtualMachine": Naming.UNIQUE,
    "Snapshot": Naming.UNIQUE,
    "Datacenter": Naming.UNIQUE,
    "Folder": Naming.UNIQUE,
    "Cluster": Naming.UNIQUE,
    "ClusterHost": Naming.UNIQUE,
    "ResourcePool": Naming.UNIQUE,
    "PlacementRule": Naming.UNIQUE,
    "Role": Naming.UNIQUE,
    "Permission": Naming.UNIQUE,
}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Disk": {"format": "qcow2"},
    "Network": {"virtualSwitch": "linux"},
    "VirtualMachine": {
        "disks": {"*": {"bus": "virtio"}},
        "nics": {"*": {"model": "virtio"}},
    },
}
"""Those of a host with QEMU, whose part the provider plays."""

CONNECTION_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "Where the endpoint keeps its objects.",
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "description": "File of JSON lines, made on demand; relative to the stack's folder. "
            "Left out: everything is gone when the program ends.",
            "minLength": 1,
            "examples": ["/var/lib/provisioner/lab.jsonl"],
        },
        "password": {
            "$ref": "definitions.v1.json#/$defs/secret",
            "description": "A secret that the endpoint asks for, and does nothing with.",
        },
        "faults": FAULTS_SCHEMA,
        "latency": {
            "type": "object",
            "description": "How many seconds calls take, by the name of the call; `*` is every "
            "other one. For trying out what takes long.",
            "propertyNames": {"enum": [*CALLS, "*"]},
            "additionalProperties": {
                "type": "number",
                "description": "Seconds.",
                "minimum": 0,
                "examples": [0.05],
            },
            "examples": [{"power": 0.2, "*": 0.01}],
        },
    },
    "examples": [{"path": "/var/lib/provisioner/lab.jsonl"}],
}

NATIVE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "Notes that are kept with the object and mean nothing.",
    "additionalProperties": {
        "type": "string",
        "description": "A note.",
        "examples": ["kept as it is"],
    },
    "examples": [{"note": "kept as it is"}],
}


def describe(version: str) -> Description:
    """The description of the provider in this version of the project."""
    return Description(
        name="memory",
        version=version,
        api_version=API_VERSION,
        naming=NAMING,
        connection_schema=CONNECTION_SCHEMA,
        native_schema=NATIVE_SCHEMA,
        defaults=DEFAULTS,
        capabilities=frozenset({LEASES, POWER, REPLICATION, SNAPSHOT_REVERT, STANDBY, USAGE}),
    )
