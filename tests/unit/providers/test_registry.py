"""Plugins of other distributions: found by their entry points, with what they lack."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Context, Endpoint, Terminal
from provisioner.providers.registry import Registry
from provisioner.service.providers import list_providers
from provisioner_plugins.kvm.provider import KvmProvider

METADATA = """\
Metadata-Version: 2.1
Name: cloud-plugin
Version: 1.0
Requires-Dist: click
Requires-Dist: cloud-sdk>=3; extra == "cloud"
Requires-Dist: cloud-helper; python_version >= "3.9" and extra == 'cloud'
Requires-Dist: pyyaml>=6; extra == "cloud"
Requires-Dist: other; extra == "cloudier"
Provides-Extra: cloud
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed metadata of a plugin, and room for its module."""
    info = tmp_path / "cloud_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[provisioner.providers]\ncloud = cloud_plugin:make\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def test_what_an_extra_needs_and_lacks(plugin: Path) -> None:
    """The requirements of the extra that is called like the provider; PyYAML is there."""
    assert ("cloud-sdk>=3", "cloud-helper") == Registry().missing("cloud")


def test_a_provider_that_cannot_be_imported_names_what_to_install(plugin: Path) -> None:
    (plugin / "cloud_plugin.py").write_text("import cloud_sdk\n")
    with pytest.raises(ProvisionerError) as caught:
        Registry().get("cloud")
    (problem,) = caught.value.diagnostics
    assert "PRV5002" == problem.code
    assert problem.hint.endswith("pip install 'cloud-sdk>=3' 'cloud-helper'")


def test_a_provider_that_is_broken_names_where_it_comes_from(plugin: Path) -> None:
    (plugin / "cloud_plugin-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cloud-plugin\nVersion: 1.0\n"
    )
    (plugin / "cloud_plugin.py").write_text("")
    with pytest.raises(ProvisionerError) as caught:
        Registry().get("cloud")
    assert "Install cloud-plugin again." == caught.value.diagnostics[0].hint


def test_a_base_install_says_what_kvm_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("provisioner.providers.registry.distribution", found)
    lacking = {item.name: item.missing for item in list_providers()}
    assert [] == [name for name in lacking["kvm"] if not name.startswith(("libvirt", "pycdlib"))]
    assert 2 == len(lacking["kvm"])
    assert () == lacking["memory"]


def test_what_kvm_says_it_needs_is_what_its_extra_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "provisioner_plugins.kvm.session", None)
    with pytest.raises(Terminal) as caught:
        # It fails before it looks at what it is given.
        KvmProvider().open(Endpoint("here", "kvm", {}), cast(Context, None))
    owner = metadata.distribution("provisioner-iac")
    needed = [text.partition(">")[0] for text in owner.requires or () if text.endswith('"kvm"')]
    assert ["libvirt-python", "pycdlib"] == needed
    assert f"pip install {' '.join(needed)}." in caught.value.diagnostic.hint
