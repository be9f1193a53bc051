"""The REST API of a vCenter: one session of its own, opened when it is needed, and its errors."""

from __future__ import annotations

import hashlib
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins.vmware.session import VmwareSession
from provisioner_plugins.vmware.wire.rest import Rest
from provisioner_plugins.vmware.wire.transfer import Place, Transfer
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import session

pytest.importorskip("pyVmomi")
pytestmark = pytest.mark.live

CATEGORIES = "/cis/tagging/category"
LOGIN, LOGOUT, LIST = "POST /api/session", "DELETE /api/session", f"GET /api{CATEGORIES}"


def rest_of(opened: VmwareSession) -> Rest:
    return opened._site.rest


@contextmanager
def rest(vcsim: Vcsim, **connection: Any) -> Iterator[Rest]:
    with session(vcsim, **connection) as opened:
        vcsim.reset_counts()
        yield rest_of(opened)


def category() -> Mapping[str, object]:
    return {
        "name": f"c-{uuid4()}",
        "description": "",
        "cardinality": "SINGLE",
        "associable_types": [],
    }


def code(caught: pytest.ExceptionInfo[Any]) -> str:
    return str(caught.value.diagnostic.code)


def test_who_does_not_need_it_does_not_log_in(vcsim_vcenter: Vcsim) -> None:
    vcsim_vcenter.reset_counts()
    with session(vcsim_vcenter):
        pass
    assert {LOGIN, LOGOUT}.isdisjoint(vcsim_vcenter.reset_counts())


def test_one_session_for_all_calls_is_logged_out(vcsim_vcenter: Vcsim) -> None:
    with rest(vcsim_vcenter) as api:
        for _ in range(3):
            api.get("list the categories", CATEGORIES)
    counts = Counter(vcsim_vcenter.reset_counts())
    assert {LOGIN: 1, LIST: 3, LOGOUT: 1} == {name: counts[name] for name in (LOGIN, LIST, LOGOUT)}


def test_certificate_is_pinned_as_that_of_the_other_api(vcsim_vcenter: Vcsim) -> None:
    pem = vcsim_vcenter.certificate.read_text()
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    with rest(vcsim_vcenter, tls={"fingerprint": pin}) as api:
        api.get("list the categories", CATEGORIES)
        # A connection that is made anew compares it, too, before anything is sent.
        strange = {**api._client.endpoint.connection, "tls": {"fingerprint": "00" * 32}}
        api._client.endpoint = replace(api._client.endpoint, connection=strange)
        vcsim_vcenter.reset_counts()
        with pytest.raises(Terminal) as caught:
            api.upload("upload a file", "https://x/folder/x", 1, [b"x"])
        assert {} == vcsim_vcenter.reset_counts()
    assert "PRV5305" == code(caught)


def test_what_is_made_is_read_changed_and_removed(vcsim_vcenter: Vcsim) -> None:
    wanted = category()
    with rest(vcsim_vcenter) as api:
        made = api.post("make a category", CATEGORIES, wanted)
        assert made in api.get("list the categories", CATEGORIES)
        api.patch("describe it", f"{CATEGORIES}/{made}", {"description": "told"})
        found = api.get("read it", f"{CATEGORIES}/{made}")
        api.delete("remove it", f"{CATEGORIES}/{made}")
        left = api.get("list the categories", CATEGORIES)
    assert (wanted["name"], "told") == (found["name"], found["description"])
    assert made not in left


def test_errors_say_what_is_meant(vcsim_vcenter: Vcsim) -> None:
    wanted = category()
    with rest(vcsim_vcenter) as api:
        made = api.post("make a category", CATEGORIES, wanted)
        with pytest.raises(Terminal) as twice:
            api.post("make a category", CATEGORIES, wanted)
        api.delete("remove it", f"{CATEGORIES}/{made}")
        with pytest.raises(Terminal) as gone:
            api.get("read the category", f"{CATEGORIES}/{made}")
    assert ["PRV5318", "PRV5315"] == [code(twice), code(gone)]
    assert "NOT_FOUND" in gone.value.diagnostic.detail
    assert gone.value.diagnostic.summary.startswith("read the category: ")


def test_expired_session_is_opened_again(vcsim_vcenter: Vcsim) -> None:
    with rest(vcsim_vcenter) as api:
        api.get("list the categories", CATEGORIES)
        with vcsim_vcenter.fault(f"POST /api{CATEGORIES}", Act.STATUS, status=401):
            made = api.post("make a category", CATEGORIES, category())
        api.delete("remove it", f"{CATEGORIES}/{made}")
    assert 2 == vcsim_vcenter.reset_counts()[LOGIN]


def test_refused_login_is_told(vcsim_vcenter: Vcsim) -> None:
    with (
        rest(vcsim_vcenter) as api,
        vcsim_vcenter.fault(LOGIN, Act.STATUS, status=401),
        pytest.raises(Terminal) as caught,
    ):
        api.get("list the categories", CATEGORIES)
    assert "PRV5302" == code(caught)


@pytest.mark.parametrize(("status", "expected"), [(503, "PRV5312"), (403, "PRV5304")])
def test_answers_before_the_api(vcsim_vcenter: Vcsim, status: int, expected: str) -> None:
    with (
        rest(vcsim_vcenter) as api,
        vcsim_vcenter.fault(LIST, Act.STATUS, status=status),
        pytest.raises((Retryable, Terminal)) as caught,
    ):
        api.get("list the categories", CATEGORIES)
    assert expected == code(caught)


@pytest.mark.parametrize("act", [Act.REFUSE, Act.CUT, Act.LOSE])
def test_lost_answer_is_read_again_and_nothing_made_again(vcsim_vcenter: Vcsim, act: Act) -> None:
    with rest(vcsim_vcenter) as api:
        with vcsim_vcenter.fault(LIST, act):
            api.get("list the categories", CATEGORIES)
        assert 2 == vcsim_vcenter.reset_counts()[LIST]
        with (
            vcsim_vcenter.fault(f"POST /api{CATEGORIES}", act),
            pytest.raises(Retryable) as caught,
        ):
            api.post("make a category", CATEGORIES, category())
    assert "PRV5307" == code(caught)


def test_stall_is_a_timeout(vcsim_vcenter: Vcsim) -> None:
    with (
        rest(vcsim_vcenter, timeouts={"read": 500}) as api,
        vcsim_vcenter.fault(LIST, Act.SLEEP, seconds=1.5),
        pytest.raises(Retryable) as caught,
    ):
        api.get("list the categories", CATEGORIES)
    assert "PRV5308" == code(caught)


def test_closed_session_calls_nobody(vcsim_vcenter: Vcsim) -> None:
    with rest(vcsim_vcenter) as api:
        pass
    with pytest.raises(Terminal) as caught:
        api.get("list the categories", CATEGORIES)
    assert "PRV5307" == code(caught)


def test_upload_goes_to_nobody_else(vcsim_vcenter: Vcsim) -> None:
    name = f"{uuid4()}.bin"
    url = f"https://elsewhere.example/folder/{name}?dcPath=DC0&dsName=LocalDS_0"
    with session(vcsim_vcenter) as opened:
        rest_of(opened).upload("upload a file", url, 6, [b"abc", b"def"])
        place = Place("/DC0", "LocalDS_0", name)
        assert 6 == Transfer(opened._site.client).size("look at it", place)
