"""What a provider imports before it connects must not need libvirt."""

import subprocess
import sys

import pytest

PURE = [
    "disk",
    "edits",
    "handler",
    "image",
    "native",
    "network",
    "network_xml",
    "ownership",
    "pool",
    "pool_xml",
    "rules",
    "stamp",
    "uri",
    "volume",
    "xml",
]


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_no_libvirt(module: str) -> None:
    script = (
        "import sys\n"
        "sys.modules['libvirt'] = None\n"  # any import of it now fails
        f"import provisioner_plugins._libvirt.{module}\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (0, "") == (result.returncode, result.stderr)
