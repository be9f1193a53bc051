"""The models of network cards, as fields name them and as vSphere does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

MODELS: Mapping[str, type] = {
    "vmxnet3": vim.vm.device.VirtualVmxnet3,
    "e1000": vim.vm.device.VirtualE1000,
    "e1000e": vim.vm.device.VirtualE1000e,
}


def model_of(card: Any) -> str:
    """The model; for one that no field can name, vSphere's name of its type."""
    for name, kind in MODELS.items():
        if isinstance(card, kind):
            return name
    return type(card).__name__.rsplit(".", 1)[-1]
