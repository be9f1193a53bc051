"""Printed manifests give the same stack again."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from provisioner.manifest.printer import print_stack
from provisioner.manifest.yamlstrict import write_documents
from provisioner.providers.api import API_VERSION, Description
from tests.unit.manifest.random_stacks import stacks
from tests.unit.manifest.stacks import BASE, NETWORK, POOL, catalog, comparable, load, load_stack


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(stacks())
def test_the_printed_stack_is_the_stack(documents):
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        Path(first, "a.yaml").write_text(write_documents(documents), encoding="utf-8")
        stack = load(Path(first), catalog())
        text = print_stack(stack, catalog())
        Path(second, "b.yaml").write_text(text, encoding="utf-8")
        again = load(Path(second), catalog())
        assert comparable(stack) == comparable(again)
        assert text == print_stack(again, catalog())


def test_units_and_sets_are_written_as_authors_do(tmp_path):
    machine = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web, labels: {answer: 'no', number: '1'}}
spec:
  memory: {size: 1024MiB}
  shutdownTimeout: 90s
  nics: [{name: a, network: lan}]
"""
    stack = load_stack(tmp_path, {"a.yaml": machine, "b.yaml": NETWORK + "---\n" + POOL})
    text = print_stack(stack, catalog())
    assert """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata:
  name: web
  labels:
    answer: "no"
    number: "1"
spec:
  memory:
    size: 1GiB
  shutdownTimeout: 90s
  nics:
  - name: a
    network: lan
""" == text.split("---\n")[2]


def test_a_connection_with_units_of_its_provider(tmp_path):
    schema = {
        "type": "object",
        "properties": {"timeout": {"$ref": "definitions.v1.json#/$defs/duration"}},
    }
    description = Description("memory", "1", API_VERSION, {}, schema, {})
    files = {
        "a.yaml": BASE.replace(
            "{provider: memory}", "{provider: memory, connection: {timeout: 30s}}"
        )
    }
    load_stack(tmp_path, files)
    stack = load(tmp_path, catalog(), describe=lambda _name: description)
    assert {"timeout": 30_000} == stack.hosts["lab"].spec["connection"]
    assert "timeout: 30s" in print_stack(stack, catalog(), {"memory": schema})


def test_the_default_host_of_what_could_live_in_something(tmp_path):
    host = "---\napiVersion: provisioner/v1\nkind: Host\nmetadata: {name: two}\n"
    folder = "---\napiVersion: provisioner/v1\nkind: Folder\nmetadata: {name: shop}\nspec: {}\n"
    text = BASE.replace("spec: {}", "spec: {defaults: {host: two}}")
    text += host + "spec: {provider: memory}\n" + folder
    stack = load_stack(tmp_path / "first", {"a.yaml": text})
    again = load_stack(tmp_path / "second", {"a.yaml": print_stack(stack, catalog())})
    assert comparable(stack) == comparable(again)
