"""Permissions on the simulator, beside what the conformance suite proves of every kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Absent, Change, Present, Resource, Terminal
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.session import VmwareSession
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import resource, session, soon

pytest.importorskip("pyVmomi")
pytestmark = pytest.mark.live


def permission(name: str, principal: str, role: str = "ReadOnly", **rest: Any) -> Resource:
    spec = {"principal": principal, "builtinRole": role, **rest}
    return resource("Permission", name, spec)


def found(opened: VmwareSession, asked: Resource) -> Present | Absent:
    answer = opened.observe([asked])[asked.address]
    assert isinstance(answer, Present | Absent)
    return answer


def given(opened: VmwareSession, asked: Resource) -> Resource:
    """The resource once it is made."""
    return replace(asked, external_id=opened.create(asked, soon()).external_id)


def codes(problems: Sequence[Diagnostic]) -> list[str]:
    return [problem.code for problem in problems]


def test_what_others_have_on_an_object_stays(vcsim_vcenter: Vcsim) -> None:
    one, two = permission("one", "LAB\\one"), permission("two", "LAB\\two", propagate=False)
    with session(vcsim_vcenter) as opened:
        one, two = given(opened, one), given(opened, two)
        opened.delete(two, soon())
        assert isinstance(found(opened, one), Present)
        assert Absent() == found(opened, two)
        opened.delete(one, soon())
        assert Absent() == found(opened, one)


def test_one_principal_in_two_spellings_is_one(vcsim_vcenter: Vcsim) -> None:
    one, two = permission("one", "LAB\\one"), permission("two", "one@lab.example", "NoAccess")
    with session(vcsim_vcenter) as opened:
        one = given(opened, one)
        two = replace(two, related={one.address: one})
        assert Absent() == found(opened, two)
        told = opened.preflight([Undertaking(two)], soon(), thorough=False)
        assert ["PRV5318"] == codes(told)
        with pytest.raises(Terminal) as caught:
            opened.create(two, soon())
        assert "PRV5318" == caught.value.diagnostic.code
        still = found(opened, one)
        assert isinstance(still, Present)
        assert "ReadOnly" == still.spec["builtinRole"]
        opened.delete(one, soon())


def test_unknown_user_is_told(vcsim_vcenter: Vcsim) -> None:
    details = {"principal": "LAB\\nobody", "unresolved": True}
    with (
        session(vcsim_vcenter) as opened,
        vcsim_vcenter.fault(
            "SetEntityPermissions", Act.FAULT, fault="UserNotFound", details=details
        ),
        pytest.raises(Terminal) as caught,
    ):
        opened.create(permission("one", "LAB\\nobody"), soon())
    assert "PRV5335" == caught.value.diagnostic.code
    assert "nobody" in caught.value.diagnostic.detail


def test_unknown_role_is_told_with_the_plan(vcsim_vcenter: Vcsim) -> None:
    with session(vcsim_vcenter) as opened:
        asked = Undertaking(permission("one", "LAB\\one", "ReadOnyl"))
        [problem] = opened.preflight([asked], soon(), thorough=False)
    assert ("PRV5323", ("builtinRole",)) == (problem.code, problem.path)
    assert "ReadOnly" in problem.hint


def test_own_rights_are_not_taken_away(vcsim_vcenter: Vcsim) -> None:
    own = permission("own", vcsim_vcenter.user, "Admin")
    change = Change(("builtinRole",), "Admin", "ReadOnly", Impact.LIVE)
    with session(vcsim_vcenter) as opened:
        assert [] == codes(opened.preflight([Undertaking(own)], soon(), thorough=False))
        own = given(opened, own)
        less = replace(own, spec={**own.spec, "builtinRole": "ReadOnly"})
        planned = opened.preflight([Undertaking(less, (change,))], soon(), thorough=False)
        assert ["PRV5336"] == codes(planned)
        gone = opened.preflight([Undertaking(own, removes=True)], soon(), thorough=False)
        assert ["PRV5336"] == codes(gone)
        with pytest.raises(Terminal) as caught:
            opened.delete(own, soon())
        assert "PRV5336" == caught.value.diagnostic.code
        assert isinstance(found(opened, own), Present)
        opened._site.client.call(
            "tidy up",
            lambda content: content.authorizationManager.RemoveEntityPermission(
                content.rootFolder, vcsim_vcenter.user, isGroup=False
            ),
        )


def test_last_administrator_stays(vcsim_vcenter: Vcsim) -> None:
    """The endpoint refuses it, too, where another one went in the meantime."""
    fault = vcsim_vcenter.fault(
        "RemoveEntityPermission", Act.FAULT, fault="AuthMinimumAdminPermission"
    )
    with session(vcsim_vcenter) as opened:
        admin = given(opened, permission("admin", "LAB\\chief", "Admin"))
        with fault, pytest.raises(Terminal) as caught:
            opened.delete(admin, soon())
        opened.delete(admin, soon())
    assert "PRV5336" == caught.value.diagnostic.code


def test_many_permissions_are_read_as_few_are(vcsim_vcenter: Vcsim) -> None:
    asked = [permission(f"p{number}", f"LAB\\user{number}") for number in range(20)]
    with session(vcsim_vcenter) as opened:
        made = [given(opened, one) for one in asked]
        vcsim_vcenter.reset_counts()
        opened.observe(made[:1])
        few = Counter(vcsim_vcenter.reset_counts())
        opened.observe(made)
        assert few == Counter(vcsim_vcenter.reset_counts())
        assert 1 == few["RetrieveAllPermissions"]
        for one in made:
            opened.delete(one, soon())


def test_what_is_on_an_unnameable_object_makes_no_manifest(vcsim_vcenter: Vcsim) -> None:
    folder = Address("Folder", "vm")
    with session(vcsim_vcenter) as opened:
        own_folder = next(
            row for row in opened._site.places().rows(object) if row.get("name") == "vm"
        )
        known = replace(resource("Folder", "vm", {}), external_id=own_folder.moid)
        asked = permission("one", "LAB\\one", on={"folder": "vm"})
        asked = given(opened, replace(asked, related={folder: known}))
        told = {
            item.observed.external_id: (item.observed.spec.get("principal"), item.notes)
            for item in opened.discover({"Permission"})
        }
        opened.delete(asked, soon())
    principal, notes = told[str(asked.external_id)]
    assert principal is None
    assert ["it is on /DC0/vm, which is of no kind that a manifest can name"] == [*notes]
