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
        try:
            _remove(domain)
        except libvirt.libvirtError as error:
            # A transient domain may have ended by itself meanwhile.
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    for thing in [*connection.listAllNetworks(), *connection.listAllStoragePools()]:
        persistent = thing.isPersistent()
        if thing.isActive():
            thing.destroy()
        if persistent:
            thing.undefine()
    for secret in connection.listAllSecrets():
        secret.undefine()


def _remove(domain: libvirt.virDomain) -> None:
    persistent = domain.isPersistent()
    with contextlib.suppress(libvirt.libvirtError):
        domain.destroy()
    if persistent:
        domain.undefineFlags(_UNDEFINE)
