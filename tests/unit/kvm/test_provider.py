"""What the plugin says of itself, and that saying it needs no libvirt."""

import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import API_VERSION, Naming
from provisioner_plugins.kvm import provider
from tests.unit.kvm.specs import resource


def test_it_serves_every_kind_of_thing_that_stands_on_a_host() -> None:
    description = provider().describe()
    kinds = {"Network", "StoragePool", "Image", "Disk", "VirtualMachine", "Snapshot"}
    assert kinds == description.kinds
    assert ("kvm", API_VERSION) == (description.name, description.api_version)
    assert {
        "console",
        "guest-agent",
        "leases",
        "power",
        "preflight",
        "replication",
        "snapshot-revert",
        "standby",
        "usage",
    } == description.capabilities
    # A volume's name carries its identity; every other name is taken once.
    free = {kind for kind, naming in description.naming.items() if naming is Naming.FREE}
    assert {"Disk", "Image"} == free


def test_its_schemas_are_schemas_with_examples_that_fit() -> None:
    description = provider().describe()
    for schema in (description.connection_schema, description.native_schema):
        Draft202012Validator.check_schema(schema)
        for example in schema["examples"]:
            Draft202012Validator(schema).validate(example)


def test_another_kind_is_not_served() -> None:
    with pytest.raises(ProvisionerError, match="no Router"):
        provider().normalise(resource("Router", "r", {}))


def test_planning_imports_neither_libvirt_nor_what_makes_seeds() -> None:
    program = (
        "import sys\n"
        "from provisioner_plugins.kvm import provider\n"
        "from tests.unit.kvm.specs import machine\n"
        "provider().describe()\n"
        "provider().normalise(machine({'memory': {'size': 1 << 24}}))\n"
        "print(sorted({'libvirt', 'pycdlib'} & sys.modules.keys()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "[]\n" == run.stdout
