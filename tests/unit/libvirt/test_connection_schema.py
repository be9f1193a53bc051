"""The schema of a Host's connection: what it takes, and that every field is described."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from provisioner.manifest.canonical import Findings
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.compiled import CompiledSchema

SCHEMA: dict[str, Any] = json.loads(
    files("provisioner_plugins.kvm").joinpath("connection.v1.json").read_text(encoding="utf-8")
)
COMPILED = CompiledSchema(SchemaCatalog.installed().standalone(SCHEMA))


def test_every_example_is_valid() -> None:
    for example in SCHEMA["examples"]:
        assert [] == COMPILED.problems(example)


@pytest.mark.parametrize(
    "connection",
    [
        {},
        {"uri": "http://kvm1"},
        {"uri": "qemu:///system", "unknown": 1},
        {"uri": "qemu:///system", "tls": {}},
        {"uri": "qemu:///system", "ssh": {"keyFile": "a", "privateKey": {"secretRef": "env://A"}}},
        {"uri": "qemu:///system", "ssh": {"privateKey": "-----BEGIN"}},
        {"uri": "qemu:///system", "credentials": {"password": "hunter2"}},
        {"uri": "qemu:///system", "timeouts": {"connect": 15}},
        {"uri": "qemu:///system", "keepalive": {"count": 0}},
        *(
            {"uri": uri}
            for uri in (
                "qemu://",
                "qemu:///",
                "qemu:///other",
                "qemu+ssh://kvm1",
                "qemu+foo://kvm1/system",
                "qemu+ssh://root:hunter2@kvm1/system",
                "qemu+ssh://root@kvm 1/system",
                "qemu+ssh://root@kvm1/system?socket=/a b",
            )
        ),
    ],
)
def test_what_is_wrong_is_found(connection: dict[str, Any]) -> None:
    assert COMPILED.problems(connection)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///embed?root=/srv/x",
        "qemu+unix:///session?socket=/run/user/0/libvirt-sock",
        "qemu://kvm1/system",
        "qemu+tls://[fd00::1]:16514/system?no_verify=1",
        "qemu+libssh2://ops%40corp@kvm-1.example:22/system?known_hosts=/etc/h&sshauth=privkey",
    ],
)
def test_what_libvirt_takes_is_taken(uri: str) -> None:
    assert [] == COMPILED.problems({"uri": uri})


@pytest.mark.parametrize("uri", ["bogus", "xen:///system"])
def test_what_is_no_uri_gets_every_part_of_one_and_an_example(uri: str) -> None:
    (problem,) = COMPILED.problems({"uri": uri})
    assert [] == [
        part
        for part in ("[:PORT]", "/session", "/system", "?socket=PATH")
        if part not in problem.summary
    ]
    assert "For example: qemu:///session" == problem.hint


def test_who_writes_no_uri_gets_an_example() -> None:
    (problem,) = COMPILED.problems({})
    assert problem.hint.endswith(" For example: qemu:///session")


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"keepalive": {"interval": "500ms"}}, "found '500ms', expected at least 1s"),
        ({"keepalive": {"interval": "2500ms"}}, "found '2500ms', expected a multiple of 1s"),
        ({"keepalive": {"interval": "9d"}}, "found '9d', expected at most 1h"),
        ({"timeouts": {"connect": "0s"}}, "found '0s', expected at least 1ms"),
    ],
)
def test_times_have_limits(section: dict[str, Any], found: str) -> None:
    findings = Findings()
    COMPILED.canonicalise({"uri": "qemu:///system", **section}, findings)
    assert [found] == [problem.summary for problem in findings.problems]


@pytest.mark.parametrize(
    "section", [{"ssh": {"privateKey": "hunter2"}}, {"credentials": {"password": "hunter2"}}]
)
def test_who_writes_a_secret_learns_how_to_refer_to_it(section: dict[str, Any]) -> None:
    (problem,) = COMPILED.problems({"uri": "qemu:///system", **section})
    assert (
        "found a value, expected a reference to a secret, such as {secretRef: env://NAME} or "
        "{secretRef: file://PATH}"
    ) == problem.summary
    assert problem.secret


def test_units_become_milliseconds() -> None:
    written = {"uri": "qemu:///system", "timeouts": {"connect": "30s"}, "keepalive": {"count": 3}}
    canonical = COMPILED.canonicalise(written, Findings())
    assert {**written, "timeouts": {"connect": 30_000}} == canonical


def test_every_field_is_described_with_an_example_or_a_default() -> None:
    for name, field in fields(SCHEMA):
        if "$ref" not in field:
            assert field.get("description"), name
            assert "examples" in field, name
        else:
            assert field.get("description"), name


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
