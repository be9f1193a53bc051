"""Where things go in the inventory of a vCenter, and how hosts come into it."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import replace

import pytest

from provisioner.providers.api import Present, Resource, Terminal
from tests.lab.vcsim import Vcsim
from tests.live.vspherelab import machine, resource, session, soon

vim = pytest.importorskip("pyVmomi").vim
pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-places")]


def test_a_place_is_found_though_the_inventory_was_read_anew(vcsim_vcenter: Vcsim) -> None:
    """As another thread does between the look for a datacenter and that for what is in it."""
    with session(vcsim_vcenter) as opened:
        site, wanted = opened._site, machine("web")
        within = site.datacenter(wanted)
        site.places(anew=True)
        found = site.default(wanted, "cluster", (vim.ComputeResource,), "Cluster", within=within)
    assert "DC0_C0" == found.get("name")


def _host(vcsim: Vcsim, fingerprint: str) -> Resource:
    spec = {
        "address": vcsim.host,
        "port": vcsim.port,
        "username": "root",
        "password": {"secretRef": "env://ANY"},
        "fingerprint": fingerprint,
    }
    return resource("ClusterHost", "node", spec)


def test_a_host_with_another_certificate_is_sent_no_password(vcsim_vcenter: Vcsim) -> None:
    vcsim_vcenter.reset_counts()
    with session(vcsim_vcenter) as opened, pytest.raises(Terminal) as caught:
        opened.create(_host(vcsim_vcenter, ":".join(["1F"] * 32)), soon())
    shown = ssl.PEM_cert_to_DER_cert(vcsim_vcenter.certificate.read_text())
    assert "PRV5333" == caught.value.diagnostic.code
    assert hashlib.sha256(shown).digest().hex(":").upper() in caught.value.diagnostic.detail
    assert 0 == vcsim_vcenter.counts().get("AddStandaloneHost_Task", 0)


def test_a_host_with_the_pinned_certificate_is_added(vcsim_vcenter: Vcsim) -> None:
    """The simulator refuses a thumbprint that is not that of the certificate it is shown."""
    shown = ssl.PEM_cert_to_DER_cert(vcsim_vcenter.certificate.read_text())
    node = _host(vcsim_vcenter, hashlib.sha256(shown).digest().hex(":"))
    with session(vcsim_vcenter) as opened:
        made = opened.create(node, soon())
        assert made.external_id
        opened.delete(node, soon())


ODD = ("in/out", "50% off", "back\\slash", "%2f")


@pytest.mark.parametrize("name", ODD)
def test_names_that_vsphere_escapes_are_what_the_author_wrote(
    vcsim_vcenter: Vcsim, name: str
) -> None:
    with session(vcsim_vcenter) as opened:
        for wanted in (
            replace(machine("odd", power="stopped"), name=name),
            replace(resource("Folder", "odd", {}), name=name),
        ):
            made = replace(wanted, external_id=opened.create(wanted, soon()).external_id)
            found = opened.observe([made])[made.address]
            assert isinstance(found, Present)
            assert name == found.name
            opened.delete(made, soon())
