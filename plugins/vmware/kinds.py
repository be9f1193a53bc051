"""The rules of every kind that the plugin serves. Pure: the provider imports this.

The handlers of the same kinds are in :mod:`~provisioner_plugins.vmware.handlers`.
"""

from __future__ import annotations

from provisioner_plugins.vmware.handler import KindRules
from provisioner_plugins.vmware.machine.rules import MachineRules

RULES: tuple[KindRules, ...] = (MachineRules(),)
