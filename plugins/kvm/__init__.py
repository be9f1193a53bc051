"""The provider ``kvm``: virtual machines on QEMU through libvirt, accelerated or emulated.

The entry point is :func:`provider`. Diagnostics of this package are PRV2500..PRV2549 (shared with
``_libvirt``), PRV5200..PRV5249 and, of replication, PRV5358..PRV5379.
"""

from __future__ import annotations

from provisioner_plugins.kvm.provider import KvmProvider


def provider() -> KvmProvider:
    """What the entry point in the group ``provisioner.providers`` gives."""
    return KvmProvider()
