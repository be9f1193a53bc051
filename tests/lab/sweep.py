"""Removes what a test left on a daemon that other tests use after it. Called by the fixtures."""

import contextlib

import libvirt

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def sweep(connection: libvirt.virConnect) -> None:
    """Every domain, network, pool and secret goes; the files behind the pools stay."""
    for domain in connection.listAllDomains():
        if domain.isActive():
            with contextlib.suppress(libvirt.libvirtError):
                # It may have ended by itself in between.
                domain.destroy()
        if domain.isPersistent():
            domain.undefineFlags(_UNDEFINE)
    for thing in [*connection.listAllNetworks(), *connection.listAllStoragePools()]:
        if thing.isActive():
            thing.destroy()
        if thing.isPersistent():
            thing.undefine()
    for secret in connection.listAllSecrets():
        secret.undefine()
