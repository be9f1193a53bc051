"""The rules of the kinds that every libvirt plugin serves alike. Pure: a provider imports this."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner_plugins._libvirt.disk import DiskRules
from provisioner_plugins._libvirt.handler import KindRules
from provisioner_plugins._libvirt.image import ImageRules
from provisioner_plugins._libvirt.network import NetworkRules
from provisioner_plugins._libvirt.pool import PoolRules


def shared_rules() -> Mapping[str, KindRules]:
    """Rules by kind."""
    rules: tuple[KindRules, ...] = (NetworkRules(), PoolRules(), ImageRules(), DiskRules())
    return {rule.kind: rule for rule in rules}
