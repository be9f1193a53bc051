"""From a Host's connection to the URI that is opened."""

from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.uri import target_of

ROOT = Path("/stack")


def target(**connection: Any) -> Any:
    return target_of("lab", "qemu", connection, ROOT)


@pytest.mark.parametrize(
    ("uri", "transport", "remote"),
    [
        ("qemu:///session", "unix", False),
        ("qemu:///system", "unix", False),
        ("qemu+unix:///system?socket=/run/x", "unix", False),
        ("qemu://kvm1.example/system", "tls", True),
        ("qemu+tls://kvm1.example:16514/system", "tls", True),
        ("qemu+libssh2://root@kvm1/system", "libssh2", True),
    ],
)
def test_a_plain_uri_stays_as_it_is(uri: str, transport: str, remote: bool) -> None:
    found = target(uri=uri)
    assert (uri, transport, remote, ()) == (
        found.uri,
        found.transport,
        found.remote,
        found.warnings,
    )


@pytest.mark.parametrize(
    ("connection", "uri"),
    [
        (
            {"uri": "qemu+tls://h/system", "tls": {"folder": "pki/my host"}},
            "qemu+tls://h/system?pkipath=/stack/pki/my%20host",
        ),
        (
            {"uri": "qemu+ssh://u@h:22/system", "ssh": {"keyFile": "/keys/id"}},
            "qemu+ssh://u@h:22/system?keyfile=/keys/id&no_tty=1",
        ),
        ({"uri": "qemu+ssh://h/system?socket=/s"}, "qemu+ssh://h/system?socket=/s&no_tty=1"),
        (
            {"uri": "qemu+libssh://h/system", "ssh": {"knownHosts": "hosts"}},
            "qemu+libssh://h/system?known_hosts=/stack/hosts&known_hosts_verify=normal",
        ),
    ],
)
def test_sections_become_parameters(connection: dict[str, Any], uri: str) -> None:
    assert uri == target(**connection).uri


def test_a_parameter_is_added_last() -> None:
    found = target(uri="qemu+ssh://h/system")
    assert "qemu+ssh://h/system?no_tty=1&keyfile=/k" == found.with_parameter("keyfile", "/k")


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"uri": "xen:///system"}, "not a qemu URI"),
        ({"uri": "qemu+ext:///system?command=/bin/evil"}, "transport 'ext'"),
        ({"uri": "qemu+ssh://h/system?command=/bin/evil"}, "start a program"),
        ({"uri": "qemu+ssh://h/system?netcat=/bin/evil"}, "start a program"),
        ({"uri": "qemu+ssh://u:secret@h/system"}, "contains a password"),
        ({"uri": "qemu:///system", "tls": {"folder": "x"}}, "transport is unix"),
        ({"uri": "qemu+tls://h/system", "ssh": {"keyFile": "x"}}, "transport is tls"),
        ({"uri": "qemu+ssh://h/system", "ssh": {"knownHosts": "x"}}, "ssh program reads"),
    ],
)
def test_what_cannot_be_used_is_refused(connection: dict[str, Any], words: str) -> None:
    with pytest.raises(Terminal) as caught:
        target(**connection)
    assert "PRV5110" == caught.value.diagnostic.code
    assert words in caught.value.diagnostic.detail


def test_a_password_in_a_uri_is_not_repeated() -> None:
    with pytest.raises(Terminal) as caught:
        target(uri="qemu+ssh://u:hunter2@h/system")
    assert "hunter2" not in str(caught.value.diagnostic)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+tcp://h/system",
        "qemu+tcp://127.0.0.1:16509/system",
        "qemu+tls://h/system?no_verify=1",
        "qemu+ssh://h/system?no_verify=1",
        "qemu+libssh://h/system?known_hosts_verify=ignore",
        "qemu+libssh://h/system?known_hosts_verify=auto",
    ],
)
def test_an_insecure_connection_has_to_be_accepted(uri: str) -> None:
    for refused in ({"uri": uri}, {"uri": uri, "insecure": False}):
        with pytest.raises(Terminal) as caught:
            target(**refused)
        assert "PRV5105" == caught.value.diagnostic.code
    assert ["PRV5106"] == [warning.code for warning in target(uri=uri, insecure=True).warnings]


def test_accepting_the_risk_where_there_is_none_warns_of_nothing() -> None:
    assert () == target(uri="qemu+tls://h/system", insecure=True).warnings
