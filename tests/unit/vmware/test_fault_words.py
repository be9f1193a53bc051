"""What a fault of vSphere says becomes a sentence."""

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import vmodl

from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.wire.errors import translate


def test_an_argument_that_is_refused() -> None:
    refused = vmodl.fault.InvalidArgument(
        msg="*types.InvalidArgument", invalidProperty="spec.drsConfig"
    )
    found = translate(refused, "create cluster shop")
    assert isinstance(found, Terminal)
    assert "PRV5313" == found.diagnostic.code
    assert (
        "The endpoint does not take what it was given as spec.drsConfig." == found.diagnostic.detail
    )
