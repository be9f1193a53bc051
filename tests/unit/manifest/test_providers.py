"""Sections that only a provider understands, and what it serves."""

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import API_VERSION, Description, Naming
from tests.unit.manifest.stacks import BASE, POOL, catalog, load, places, write

CONNECTION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["uri"],
    "properties": {
        "uri": {"type": "string"},
        "timeout": {"$ref": "definitions.v1.json#/$defs/duration"},
        "auth": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"user": {"type": "string"}},
                },
            ]
        },
    },
}
NATIVE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"pool": {"type": "array", "items": {"type": "string"}}},
}
DESCRIPTION = Description(
    "memory", "1.0", API_VERSION, {"StoragePool": Naming.UNIQUE}, CONNECTION, NATIVE
)  # fmt: skip


def describe(name: str) -> Description:
    if name != "memory":
        raise ProvisionerError(error("PRV5001", f"there is no provider {name!r}"))
    return DESCRIPTION


def loaded(folder, text):
    write(folder, {"main.yaml": text})
    return load(folder, catalog(), describe=describe)


def host(connection: str, provider: str = "memory") -> str:
    return (
        BASE.replace("{provider: memory}", f"{{provider: {provider}, connection: {connection}}}")
        + "---\n"
    )


def test_a_connection_is_canonical(tmp_path):
    stack = loaded(tmp_path, host("{uri: 'a://b', timeout: 1.5m}"))
    assert {"uri": "a://b", "timeout": 90_000} == stack.hosts["lab"].spec["connection"]


@pytest.mark.parametrize(
    ("text", "code", "summary"),
    [
        (host("{uri: 'a://b'}", "§memry"), "PRV5001", "there is no provider 'memry'"),
        (host("{uri: 'a://b', §time: 30s}"), "PRV1103", "unknown field 'time' in spec.connection"),
        (host("{uri: 'a://b', timeout: §30}"), "PRV1108", "a bare number (30)"),
        (host("{uri: 'a://b', timeout: §0.5ms}"), "PRV1107", "not a whole number of milliseconds"),
        (host("{uri: 'a://b', auth: {§usr: x}}"), "PRV1103", "unknown field 'usr'"),
        (host("{uri: 'a://b', auth: §7}"), "PRV1110", "found the number 7"),
        (host("{}").replace("connection", "§connection"), "PRV1105", "'uri' is missing"),
        (
            "§".join(BASE.rpartition("spec")[::2]).replace("§", "§spec") + "---\n",
            "PRV1105",
            "'uri' is missing",
        ),
        (
            host("{uri: a}") + POOL.replace("/images", "/images, native: {memory: {§pol: []}}"),
            "PRV1103",
            "'pol'",
        ),
        (
            host("{uri: a}") + POOL.replace("/images", "/images, native: {memory: {pool: [§1]}}"),
            "PRV1104",
            "expected text",
        ),
        (
            host("{uri: a}") + POOL.replace("/images", "/images, native: {§memry: {pool: []}}"),
            "PRV5001",
            "'memry'",
        ),
        (
            host("{uri: a}")
            + "apiVersion: provisioner/v1\nkind: §Network\nmetadata: {name: n}\nspec: {mode: "
            "user}\n",
            "PRV1320",
            "does not serve Network",
        ),
    ],
)
def test_mistakes_by_a_providers_schema(tmp_path, text, code, summary):
    wanted = [f"{code} {place}" for place in write(tmp_path, {"main.yaml": text})]
    with pytest.raises(ProvisionerError) as caught:
        load(tmp_path, catalog(), describe=describe)
    assert wanted == places(tmp_path, list(caught.value.diagnostics))
    assert summary in caught.value.diagnostics[0].summary


def test_a_native_section_is_kept_as_it_is(tmp_path):
    text = host("{uri: a}") + POOL.replace("/images", "/images, native: {memory: {pool: [<a/>]}}")
    spec = loaded(tmp_path, text).declarations[Address("StoragePool", "images")].spec
    assert {"memory": {"pool": ["<a/>"]}} == spec["native"]
