"""Which firmware variables are libvirt's own, and go with their machine."""

import pytest

from provisioner_plugins._libvirt.xml import parse
from provisioner_plugins.kvm.domain.firmware import names_variables


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("", False),
        ("<nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram>", False),
        ("<nvram>/home/me/.config/libvirt/qemu/nvram/web_VARS.qcow2</nvram>", False),
        ("<nvram>/var/lib/libvirt/qemu/nvram/other_VARS.fd</nvram>", True),
        ("<nvram>/own/my.fd</nvram>", True),
        ("<nvram type='file'><source file='/own/my.fd'/></nvram>", True),
    ],
)
def test_a_file_that_somebody_chose_is_theirs(variables: str, expected: bool) -> None:
    domain = parse(f"<domain><name>web</name><os>{variables}</os></domain>")
    assert expected == names_variables(domain)
